"""Read the directories of a TIFF or BigTIFF file in either byte order, and write a plain new one."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 266, 273, 274, 277, 278, 279
LARGEST, PLANAR, FAX3_OPTIONS, FAX4_OPTIONS, PREDICTOR, COLOUR_MAP = 281, 284, 292, 293, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, SUB_DIRECTORIES, INK_SET = 322, 323, 324, 325, 330, 332
EXTRA_SAMPLES, SAMPLE_FORMAT, LARGEST_OF_KIND, JPEG_TABLES = 338, 339, 341, 347
OLD_JPEG = range(512, 522)
COEFFICIENTS, SUBSAMPLING, REFERENCE, XMP, DNG_VERSION = 529, 530, 532, 700, 50706
MOST_DIRECTORIES = 64
_WANTED = {
    *(SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS),
    *(ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, LARGEST, PLANAR, FAX3_OPTIONS, FAX4_OPTIONS),
    *(PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, SUB_DIRECTORIES, INK_SET),
    *(EXTRA_SAMPLES, SAMPLE_FORMAT, LARGEST_OF_KIND, JPEG_TABLES, COEFFICIENTS, SUBSAMPLING, REFERENCE),
    *(XMP, DNG_VERSION, *OLD_JPEG),
}
_TYPES = {
    1: "u1",
    2: "u1",
    3: "u2",
    4: "u4",
    6: "i1",
    7: "u1",
    8: "i2",
    9: "i4",
    13: "u4",
    16: "u8",
    18: "u8",
}
_RATIONAL, _SHORT, _LONG, _UNDEFINED = 5, 3, 4, 7
_BYTES = (JPEG_TABLES, XMP)


@dataclass(frozen=True, slots=True)
class Directory:
    """One image of a TIFF file: the tags that decoding needs.

    Attributes:
        order: byte order, ``<`` or ``>``.
        tags: integers by tag; rational numbers as numerator and denominator.
    """

    order: str
    tags: dict[int, tuple[int, ...]]

    def number(self, tag: int, default: int = 0) -> int:
        """Return a tag's first value."""
        return self.tags.get(tag, (default,))[0]


class TiffReader:
    """Reads directories.

    Args:
        data: the file.

    Raises:
        BadImage: reason ``truncated``.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self._big = b"+" in data[2:4]
        self._pointer = "Q" if self._big else "I"
        self._entry = 20 if self._big else 12

    def directories(self) -> list[Directory]:
        """Return the chain of directories; the first must exist."""
        seen: set[int] = set()
        at = self._unpack(self._pointer, 8 if self._big else 4)
        chain: list[Directory] = []
        while at and at not in seen and len(chain) < MOST_DIRECTORIES:
            seen.add(at)
            try:
                directory, at = self.directory(at)
            except (BadImage, struct.error):
                if not chain:
                    raise
                break  # anything after the first image may be damaged
            chain.append(directory)
        if not chain:
            raise BadImage("truncated", "the TIFF has no directory")
        return chain

    def sub_directories(self, directory: Directory) -> Iterator[Directory]:
        """Return the readable images that a directory points to."""
        for at in directory.tags.get(SUB_DIRECTORIES, ())[:MOST_DIRECTORIES]:
            try:
                yield self.directory(at)[0]
            except (BadImage, struct.error):
                continue

    def directory(self, at: int) -> tuple[Directory, int]:
        """Return the directory at a position, and the position of the next one."""
        count = self._unpack("Q" if self._big else "H", at)
        start = at + (8 if self._big else 2)
        stop = start + self._entry * count
        if stop > len(self._data):
            raise BadImage("truncated", "a directory of the TIFF is cut off")
        tags: dict[int, tuple[int, ...]] = {}
        for place in range(start, stop, self._entry):
            tag = self._unpack("H", place)
            if tag in _WANTED and tag not in tags and (values := self._values(place)):
                tags[tag] = values
        after = self._unpack(self._pointer, stop) if stop + 4 <= len(self._data) else 0
        return Directory(self.order, tags), after

    def _values(self, place: int) -> tuple[int, ...]:
        kind, count = self._unpack("H", place + 2), self._unpack(self._pointer, place + 4)
        letters = self.order + (_TYPES.get(kind) or ("u4" if kind == _RATIONAL else ""))
        if len(letters) == 1 or not count:
            return ()
        count *= 2 if kind == _RATIONAL else 1
        size, at = np.dtype(letters).itemsize * count, place + (12 if self._big else 8)
        if size > (8 if self._big else 4):
            at = self._unpack(self._pointer, at)
        if at + size > len(self._data):
            return ()
        return tuple(np.frombuffer(self._data, letters, count, at).tolist())

    def _unpack(self, kind: str, at: int) -> int:
        if at + struct.calcsize(kind) > len(self._data):
            raise BadImage("truncated", "the TIFF is cut off")
        return int(struct.unpack_from(self.order + kind, self._data, at)[0])


def rewritten(data: bytes, tags: dict[int, tuple[int, ...]]) -> bytes:
    """Return a little-endian file with the same data, followed by one directory of these tags."""
    at = len(data) + len(data) % 2
    values_at = at + 2 + 12 * len(tags) + 4
    entries, beyond = b"", b""
    for tag, values in sorted(tags.items()):
        kind, packed = _packed(tag, values)
        if len(packed) > 4:
            place = struct.pack("<I", values_at + len(beyond))
            beyond += packed + bytes(len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, len(values)) + place
    head = b"II*\0" + struct.pack("<I", at)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4) + beyond
    return b"".join((head, memoryview(data)[8:], bytes(len(data) % 2), directory))


def _packed(tag: int, values: tuple[int, ...]) -> tuple[int, bytes]:
    if tag in _BYTES:
        return _UNDEFINED, bytes(values)
    if max(values) < 65_536 and tag not in (STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS):
        return _SHORT, struct.pack(f"<{len(values)}H", *values)
    return _LONG, struct.pack(f"<{len(values)}I", *values)
