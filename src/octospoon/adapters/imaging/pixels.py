"""Convert pixels of any format to eight-bit RGB and resize them, band by band to save memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.ImageFile import ImageFile

    Box = tuple[float, float, float, float]

BAND = 250_000
"""How many pixels are converted at a time."""
TWELVE_BITS = 4_095
"""Sixteen-bit samples up to this value have twelve bits, as from X-ray and industrial cameras."""
TWELVE_BITS_NOTE = "no 16-bit sample is above 4,095: they are read as 12-bit samples"
_TO_RGB = ("CMYK", "YCbCr", "LAB", "1")
_TO_PREMULTIPLIED = ("P", "PA", "LA", "RGBA")
_MODES = ("RGB", "L", "La", "RGBa", *_TO_RGB, *_TO_PREMULTIPLIED)
_SURE_BLACK = TWELVE_BITS >> 8


class Source(Protocol):
    """A decoded image.

    Attributes:
        size: width and height.
        note: a remark for a person who looks at the result; usually empty.
    """

    size: tuple[int, int]
    note: str

    def whole(self) -> Image.Image | None:
        """Return the image if it is plain RGB or greyscale already, else None."""

    def band(self, start: int, stop: int) -> Image.Image:
        """Return rows as ``RGB``, ``L`` or ``RGBa`` (colours multiplied with alpha)."""


@dataclass(slots=True)
class Reading:
    """How to convert the pixels of a Pillow image to eight bits.

    Attributes:
        transparent: the transparent value, None for none.
        bits: of a sample of deep greyscale.
    """

    transparent: int | tuple[int, ...] | bytes | None
    bits: int = 16

    @classmethod
    def of(cls, image: ImageFile) -> Reading:
        """Read the pixel format of a file before decoding.

        Raises:
            BadImage: reason ``unsupported``, if the values have no fixed range.
        """
        mode = image.mode
        if not mode.startswith("I;16") and mode not in _MODES:
            raise BadImage("unsupported", f"pixels of mode {mode} have no fixed range")
        transparent = image.info.get("transparency")
        if isinstance(transparent, tuple) and image.tile and "16" in str(image.tile[0].args):
            # Pillow keeps only the high byte of 16-bit colour
            transparent = tuple(value >> 8 for value in transparent)
        return cls(transparent)

    def eight_bit(self, part: Image.Image) -> Image.Image:
        """Convert a part of the image to ``RGB``, ``L`` or ``RGBa`` (colours multiplied with alpha)."""
        if part.mode.startswith("I;16"):
            return self._shallow(np.asarray(part))
        if self.transparent is not None and part.mode in ("RGB", "L", "1"):
            part.info["transparency"] = self.transparent
            return part.convert("RGBA").convert("RGBa")
        if part.mode in _TO_RGB:
            return part.convert("RGB")
        if part.mode in _TO_PREMULTIPLIED:
            return part.convert("RGBA").convert("RGBa")
        return part.convert("RGBa") if part.mode == "La" else part

    def _shallow(self, levels: npt.NDArray[np.uint16]) -> Image.Image:
        grey = Image.fromarray((levels >> (self.bits - 8)).astype(np.uint8))
        if self.transparent is None:
            return grey
        opaque = Image.fromarray(np.where(levels == self.transparent, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, opaque)).convert("RGBA").convert("RGBa")


class PillowSource:
    """Implements `Source` for an image that Pillow has decoded.

    Args:
        image: decoded.
        reading: of the image.
        deep: whether the file's samples have sixteen bits.

    Raises:
        BadImage: reason ``unsupported``, if the values are so low that Pillow's eight bits are all black.
    """

    def __init__(self, image: Image.Image, reading: Reading, *, deep: bool = False) -> None:
        self.size = image.size
        self.note = ""
        self._image = image
        self._reading = reading
        if deep:
            self._find_depth()

    def whole(self) -> Image.Image | None:
        """See `Source`."""
        return self._image if self._image.mode in ("RGB", "L") and self._reading.transparent is None else None

    def band(self, start: int, stop: int) -> Image.Image:
        """See `Source`."""
        return self._reading.eight_bit(self._image.crop((0, start, self.size[0], stop)))

    def _find_depth(self) -> None:
        mode = self._image.mode
        if mode.startswith("I;16"):
            if 0 < _highest(self._image) <= TWELVE_BITS:
                self._reading.bits, self.note = 12, TWELVE_BITS_NOTE
            return
        colours = [self._image.getchannel(band) for band in mode.rstrip("A")]
        if 0 < max(map(_highest, colours)) <= _SURE_BLACK:
            raise BadImage(
                "unsupported",
                f"no sample of 16 bits is above {TWELVE_BITS:,}: 12-bit samples are read in greyscale only",
            )


def _highest(band: Image.Image) -> float:
    """Return the highest value of an image with one band."""
    _, high = band.getextrema()
    return high if isinstance(high, (int, float)) else max(high)


def shrunk(source: Source, size: tuple[int, int], box: Box) -> Image.Image:
    """Resize a box of a decoded image to a size (width, height), with transparency over white.

    Pillow resizes rows, then columns, and rounds in between. So do the bands: the result is the same, bit for
    bit, as of an image converted whole.
    """
    if (image := source.whole()) is not None:
        return _resized(image, size, box).convert("RGB")
    left, top, right, bottom = box
    width, height = source.size
    rows = max(1, BAND // width)
    narrow: Image.Image | None = None
    for start in range(0, height, rows):
        part = source.band(start, min(start + rows, height))
        part = _resized(part, (size[0], part.height), (left, 0, right, part.height))
        narrow = narrow or Image.new(part.mode, (size[0], height))
        narrow.paste(part, (0, start))
    assert narrow is not None, "every image has a row"  # noqa: S101
    return _on_white(_resized(narrow, size, (0, top, size[0], bottom)))


def _resized(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR, box=box)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBa":
        return image.convert("RGB")
    plain = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(plain, mask=plain.getchannel("A"))
    return white
