"""Images, their keys and their history."""
