"""Hostile and odd files, stored as the code that generates them."""

from unit.corpus import beside, depths, heif, jpeg, others, png, tiff

CASES = [*jpeg.CASES, *png.CASES, *tiff.CASES, *others.CASES, *beside.CASES, *heif.CASES, *depths.CASES]
