"""The local stack, assembled."""
