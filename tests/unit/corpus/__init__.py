"""Hostile and odd files, kept as what generates them."""

from unit.corpus import jpeg, others, png, tiff

CASES = [*jpeg.CASES, *png.CASES, *tiff.CASES, *others.CASES]
