"""The package registry that pip is configured for."""
