"""Image files: from bytes to pixels."""
