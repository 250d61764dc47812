"""Convert a TIFF's unpacked samples of any depth, order and meaning to rows of eight bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from octospoon.adapters.imaging.pixels import TWELVE_BITS, TWELVE_BITS_NOTE
from octospoon.adapters.imaging.tiff import directory as tag
from octospoon.adapters.imaging.tiff.layout import CIELAB, CMYK, PALETTE, RGB, WHITE_IS_ZERO, YCBCR
from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.adapters.imaging.tiff.layout import Layout
    from octospoon.adapters.imaging.tiff.planes import Blocks, Plane

    Samples = npt.NDArray[np.unsignedinteger[Any]]

_BAND = 512


class TiffSource:
    """Implements `octospoon.adapters.imaging.pixels.Source`.

    Args:
        planes: of the samples, unpacked.
        blocks: their positions in the file.
        directory: of the image.
        layout: of its samples.
    """

    def __init__(
        self, planes: Sequence[Plane], blocks: Blocks, directory: tag.Directory, layout: Layout
    ) -> None:
        self.size = layout.size
        self.note = ""
        self._planes = planes
        self._blocks = blocks
        self._order = directory.order
        self._layout = layout
        self._palette = _palette(directory, layout) if layout.photometric == PALETTE else None
        self._bits = layout.bits
        self._alpha = layout.alpha
        if layout.bits == 16:
            self._find_depth(directory)
        if layout.alpha == 3:
            seen = any(self._samples(start, stop)[..., -1].any() for start, stop in self._bands())
            self._alpha = 2 if seen else 0

    def whole(self) -> None:
        """See `octospoon.adapters.imaging.pixels.Source`."""

    def band(self, start: int, stop: int) -> Image.Image:
        """See `octospoon.adapters.imaging.pixels.Source`."""
        samples, colours = self._samples(start, stop), self._layout.colours
        pixels = self._eight_bit(samples[..., :colours])
        if self._palette is not None:
            pixels = self._palette[samples[..., 0]]
        image = self._colours(pixels)
        if not self._alpha:
            return image
        opaque = Image.fromarray(self._eight_bit(samples[..., colours]))
        bands = image.convert("RGB").split()
        premultiplied = Image.merge("RGBA", (*bands, opaque))
        if self._alpha == 1:
            return Image.frombytes("RGBa", premultiplied.size, premultiplied.tobytes())
        return premultiplied.convert("RGBa")

    def _colours(self, pixels: npt.NDArray[np.uint8]) -> Image.Image:
        photometric = self._layout.photometric
        if photometric in (RGB, PALETTE):
            return Image.fromarray(pixels)
        if photometric in (CMYK, YCBCR, CIELAB):
            mode = {CMYK: "CMYK", YCBCR: "YCbCr", CIELAB: "LAB"}[photometric]
            size = (pixels.shape[1], pixels.shape[0])
            return Image.frombytes(mode, size, pixels.tobytes(), "raw", mode).convert("RGB")
        grey = pixels[..., 0]
        return Image.fromarray(255 - grey if photometric == WHITE_IS_ZERO else grey)

    def _eight_bit(self, samples: Samples) -> npt.NDArray[np.uint8]:
        if self._bits >= 8:
            return (samples >> (self._bits - 8)).astype(np.uint8)
        scale = np.arange(2**self._bits) * 255 // (2**self._bits - 1)
        return np.take(scale.astype(np.uint8), samples)

    def _samples(self, start: int, stop: int) -> Samples:
        """Return rows as [stop - start, width, samples]."""
        planes = [self._unpacked(plane.rows(start, stop)) for plane in self._planes]
        return np.concatenate(planes, axis=2) if len(planes) > 1 else planes[0]

    def _unpacked(self, rows: npt.NDArray[np.uint8]) -> Samples:
        layout, width = self._layout, self.size[0]
        samples = 1 if layout.planar else layout.samples
        if layout.bits == 8:
            return self._undifferenced(rows.reshape(len(rows), width, samples))
        if layout.bits == 16:
            words = np.ascontiguousarray(rows).view(f"{self._order}u2").astype(np.uint16)
            return self._undifferenced(words.reshape(len(rows), width, samples))
        bits = np.unpackbits(rows, axis=1)[:, : width * samples * layout.bits]
        weights = 1 << np.arange(layout.bits - 1, -1, -1)
        values = bits.reshape(-1, layout.bits) @ weights.astype(np.uint16)
        return values.astype(np.uint16).reshape(len(rows), width, samples)

    def _undifferenced(self, samples: Samples) -> Samples:
        if self._layout.predictor == 1:
            return samples
        across = self._blocks.width
        blocks = [
            np.cumsum(samples[:, left : left + across], axis=1, dtype=samples.dtype)
            for left in range(0, self.size[0], across)
        ]
        return np.concatenate(blocks, axis=1)

    def _bands(self) -> list[tuple[int, int]]:
        height = self.size[1]
        return [(start, min(start + _BAND, height)) for start in range(0, height, _BAND)]

    def _find_depth(self, directory: tag.Directory) -> None:
        """Return how many of sixteen bits are used: as declared if the values agree, else by rule."""
        colours = self._layout.colours
        highest = max(int(self._samples(*band)[..., :colours].max()) for band in self._bands())
        stated = max(directory.tags.get(tag.LARGEST) or directory.tags.get(tag.LARGEST_OF_KIND) or (0,))
        bits = max(8, stated.bit_length())
        if stated > 0 and bits < 16 and highest < 2**bits:
            self._bits = bits
        elif 0 < highest <= TWELVE_BITS:
            self._bits, self.note = 12, TWELVE_BITS_NOTE


def _palette(directory: tag.Directory, layout: Layout) -> npt.NDArray[np.uint8]:
    values = np.array(directory.tags.get(tag.COLOUR_MAP, ()), np.uint32)
    if len(values) < 3 * 2**layout.bits:
        raise BadImage("truncated", "the TIFF's colour map is missing or cut off")
    table = values[: 3 * 2**layout.bits].reshape(3, -1).T
    # entries have sixteen bits, but some programs write eight: then no entry exceeds eight
    return (table >> (8 if table.max() > 255 else 0)).astype(np.uint8)
