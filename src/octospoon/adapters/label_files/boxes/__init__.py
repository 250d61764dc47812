"""Boxes in label files: readers of other programs' formats, and where on the image a box lies."""
