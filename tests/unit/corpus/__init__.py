"""Hostile and odd files, kept as what generates them."""

from unit.corpus import beside, depths, heif, jpeg, others, png, tiff

CASES = [*jpeg.CASES, *png.CASES, *tiff.CASES, *others.CASES, *beside.CASES, *heif.CASES, *depths.CASES]
