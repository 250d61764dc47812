"""A box and a class for every object. A label is a tuple of boxes, and may be empty."""
