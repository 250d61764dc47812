"""The octospoon command."""
