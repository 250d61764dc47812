"""The bytes of a TIFF's samples, row by row, from the file itself or unpacked by libtiff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.adapters.imaging.pillow_images import opened
from octospoon.adapters.imaging.tiff import directory as tag
from octospoon.adapters.imaging.tiff.layout import BLACK_IS_ZERO, RAW
from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from octospoon.adapters.imaging.tiff.layout import Layout

    Bytes = npt.NDArray[np.uint8]

_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint8)


class Plane(Protocol):
    """Rows of packed samples."""

    def rows(self, start: int, stop: int) -> Bytes:
        """Return uint8 [stop - start, bytes per row]."""


class Blocks:
    """The positions of each plane's strips or tiles.

    Args:
        directory: of the image.
        layout: of its samples.
    """

    def __init__(self, directory: tag.Directory, layout: Layout) -> None:
        self._layout = layout
        width, height = layout.size
        self.tiled = tag.TILE_OFFSETS in directory.tags and tag.STRIP_OFFSETS not in directory.tags
        kinds = (tag.TILE_OFFSETS, tag.TILE_COUNTS) if self.tiled else (tag.STRIP_OFFSETS, tag.STRIP_COUNTS)
        self.offsets, self.counts = (directory.tags.get(kind, ()) for kind in kinds)
        self.width = directory.number(tag.TILE_WIDTH) if self.tiled else width
        rows = directory.number(
            tag.TILE_HEIGHT if self.tiled else tag.ROWS_PER_STRIP, 0 if self.tiled else height
        )
        self.rows = rows if self.tiled else min(rows, height)
        if self.width < 1 or self.rows < 1 or (self.tiled and self.width * self._bits() % 8):
            raise BadImage("truncated", "the TIFF's strips or tiles have no size")
        self.across = -(-width // self.width)
        self.of_plane = self.across * -(-height // self.rows)
        if len(self.offsets) < self.of_plane * self.planes:
            raise BadImage("truncated", "the TIFF has too few strips or tiles")

    @property
    def planes(self) -> int:
        """Number of planes to read, including extra planes if the first of them is alpha."""
        layout = self._layout
        return layout.colours + bool(layout.alpha) if layout.planar else 1

    @property
    def block_bytes(self) -> int:
        """Bytes of a row of one block."""
        return -(-self.width * self._bits() // 8)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of one plane."""
        return -(-self._layout.size[0] * self._bits() // 8)

    def cost(self) -> int:
        """Return the maximum number of bytes that unpacking takes."""
        height = self._layout.size[1]
        whole = height * self.row_bytes * self.planes
        if self._layout.compression == RAW:
            return whole
        return whole + self.rows * self.block_bytes * (1 if self.tiled else self.planes)

    def plane(self, data: bytes, index: int) -> Plane:
        """Return one plane, unpacked."""
        first = index * self.of_plane
        offsets = self.offsets[first : first + self.of_plane]
        if self._layout.compression == RAW:
            rows = self._gathered(data, offsets)
            return _Array(_REVERSED[rows] if self._layout.reversed_bits else rows)
        counts = self.counts[first : first + self.of_plane]
        if len(counts) < len(offsets):
            raise BadImage("truncated", "the TIFF does not say how long its strips are")
        return _Unpacked(self._as_bytes(data, offsets, counts))

    def _bits(self) -> int:
        return self._layout.bits * (1 if self._layout.planar else self._layout.samples)

    def _gathered(self, data: bytes, offsets: tuple[int, ...]) -> Bytes:
        height = self._layout.size[1]
        whole, size = height * self.row_bytes, self.rows * self.block_bytes
        if not self.tiled and all(at == offsets[0] + i * size for i, at in enumerate(offsets)):
            return _read(data, offsets[0], whole).reshape(height, self.row_bytes)
        rows = np.empty((height, self.row_bytes), np.uint8)
        for index, at in enumerate(offsets):
            top, left = index // self.across * self.rows, index % self.across * self.block_bytes
            count = self.rows if self.tiled else min(self.rows, height - top)
            block = _read(data, at, count * self.block_bytes).reshape(count, self.block_bytes)
            rows[top : top + count, left : left + self.block_bytes] = block[
                : height - top, : self.row_bytes - left
            ]
        return rows

    def _as_bytes(self, data: bytes, offsets: tuple[int, ...], counts: tuple[int, ...]) -> bytes:
        """Return a file that holds the bytes of this plane as greyscale pixels."""
        tags: dict[int, tuple[int, ...]] = {
            tag.WIDTH: (self.row_bytes,),
            tag.HEIGHT: (self._layout.size[1],),
            tag.BITS: (8,),
            tag.COMPRESSION: (self._layout.compression,),
            tag.PHOTOMETRIC: (BLACK_IS_ZERO,),
            tag.FILL_ORDER: (2 if self._layout.reversed_bits else 1,),
            tag.SAMPLES: (1,),
        }
        if self.tiled:
            tags |= {tag.TILE_WIDTH: (self.block_bytes,), tag.TILE_HEIGHT: (self.rows,)}
            tags |= {tag.TILE_OFFSETS: offsets, tag.TILE_COUNTS: counts}
        else:
            tags |= {tag.ROWS_PER_STRIP: (self.rows,), tag.STRIP_OFFSETS: offsets, tag.STRIP_COUNTS: counts}
        return tag.rewritten(data, tags)


class _Array:
    def __init__(self, rows: Bytes) -> None:
        self._rows = rows

    def rows(self, start: int, stop: int) -> Bytes:
        """See `Plane`."""
        return self._rows[start:stop]


class _Unpacked:
    def __init__(self, data: bytes) -> None:
        self._image: Image.Image = opened("TIFF", data)
        self._image.load()

    def rows(self, start: int, stop: int) -> Bytes:
        """See `Plane`."""
        return np.asarray(self._image.crop((0, start, self._image.width, stop)))


def _read(data: bytes, at: int, size: int) -> Bytes:
    if at + size > len(data):
        raise BadImage("truncated", f"the TIFF's pixels end at byte {at + size:,}, the file at {len(data):,}")
    return np.frombuffer(data, np.uint8, size, at)
