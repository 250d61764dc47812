"""Limits on the cost of decoding one image."""

from __future__ import annotations

from octospoon.domain.errors import BadImage

MAX_PIXELS = 250_000_000
"""More than any camera has. Most formats reach MAX_DECODED first."""
MAX_SIDE = 65_535
"""The limit of JPEG. A tiny PNG can declare MAX_PIXELS rows of one pixel, which take gigabytes."""
MAX_RATIO = 500
"""Largest ratio of the long side to the short side; a narrower image is useless to a model."""
MAX_SCANS = 200
"""Most scans of a progressive JPEG. About ten are usual; each costs a pass over the image for a few bytes."""
MAX_DECODED = 400_000_000
"""Bytes that decoding one image may take: 100 megapixels of PNG, 25 of WebP; a JPEG is scaled first."""
MAX_PARTS = 1_000_000
"""Most segments or chunks of a file, because walking over them takes time."""


def check_size(width: int, height: int) -> None:
    """Raise BadImage, ``too-large``, ``too-narrow`` or ``truncated``, for a size that is not decoded."""
    short, long = sorted((width, height))
    if short < 1:
        raise BadImage("truncated", f"the header says {width}×{height} pixels")
    if short * long > MAX_PIXELS:
        raise BadImage("too-large", f"{width}×{height} is over {MAX_PIXELS:,} pixels")
    if long > MAX_SIDE:
        raise BadImage("too-large", f"{width}×{height} has a side over {MAX_SIDE:,} pixels")
    if long > MAX_RATIO * short:
        raise BadImage("too-narrow", f"{width}×{height} is longer than {MAX_RATIO} to 1")


def affordable(size: tuple[int, int], kind: str, needed: float) -> int:
    """Return the bytes that decoding needs; raise BadImage, ``too-large``, if they are over MAX_DECODED."""
    if needed > MAX_DECODED:
        width, height = size
        raise BadImage(
            "too-large",
            f"{width}×{height} pixels of {kind} take {int(needed):,} bytes, over {MAX_DECODED:,}",
        )
    return int(needed)
