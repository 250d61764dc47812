"""The orientation of an image, from EXIF or XMP. With damaged metadata it counts as upright."""

from __future__ import annotations

import re
import struct

UPRIGHT = 1
SWAPS_AXES = (5, 6, 7, 8)
_TAG = 0x0112
_ENTRY = 12
_KINDS = {1: "B", 3: "H", 4: "I"}
"""TIFF's integer types, and their format characters in `struct`."""
_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])(?![0-9])")


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the EXIF orientation, 1 to 8.

    Args:
        exif: a TIFF directory, with or without ``Exif`` before it; empty for none.
        xmp: an XMP packet, used if EXIF has no orientation.
    """
    number = _of_exif(exif.removeprefix(b"Exif\0\0"))
    if number is None and (match := _XMP.search(xmp)):
        number = int(match[1])
    return number if number is not None and 1 <= number <= 8 else UPRIGHT


def _of_exif(exif: bytes) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return None
    (at,) = struct.unpack_from(f"{order}I", exif, 4)
    if at + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(f"{order}H", exif, at)
    for place in range(at + 2, min(at + 2 + _ENTRY * count, len(exif) - _ENTRY + 1), _ENTRY):
        tag, kind = struct.unpack_from(f"{order}HH", exif, place)
        if tag == _TAG and kind in _KINDS:
            return int(struct.unpack_from(f"{order}{_KINDS[kind]}", exif, place + 8)[0])
    return None
