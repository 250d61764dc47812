"""Pixels of any of Pillow's modes -> eight-bit RGB, resized, in bands: never a second whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    Box = tuple[float, float, float, float]

BAND = 250_000
"""Pixels that are converted at once."""
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_TO_RGB = ("CMYK", "YCbCr", "LAB", "1")
_TO_PREMULTIPLIED = ("P", "PA", "LA", "RGBA")


@dataclass(frozen=True, slots=True)
class Reading:
    """How the pixels of one file become eight-bit ones; settled before they are decoded.

    Attributes:
        transparent: the value that stands for transparent, None where there is none.
        bits: of a sample of deep greyscale.
        inverted: whether deep greyscale counts from white.
    """

    transparent: int | tuple[int, ...] | bytes | None
    bits: int = 16
    inverted: bool = False

    @classmethod
    def of(cls, image: ImageFile) -> Reading:
        """Read what a file says of its pixels.

        Raises:
            BadImage: reason ``unsupported``: their values have no fixed range.
        """
        mode = image.mode
        deep = mode.startswith("I;16")
        if not deep and mode not in ("RGB", "L", "La", "RGBa", *_TO_RGB, *_TO_PREMULTIPLIED):
            raise BadImage("unsupported", f"pixels of mode {mode} have no fixed range")
        transparent = image.info.get("transparency")
        if isinstance(transparent, tuple) and image.tile and "16" in str(image.tile[0].args):
            # of 16-bit colour, Pillow keeps the high byte
            transparent = tuple(value >> 8 for value in transparent)
        tags = getattr(image, "tag_v2", {})
        if not deep or not tags:
            return cls(transparent)
        return cls(None, tags.get(_BITS_PER_SAMPLE, (16,))[0], tags.get(_PHOTOMETRIC) == 0)

    def eight_bit(self, part: Image.Image) -> Image.Image:
        """Convert a part of the picture to ``RGB``, ``L`` or ``RGBa`` (colours multiplied with alpha)."""
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

    def _shallow(self, levels: np.ndarray[tuple[int, int], np.dtype[np.uint16]]) -> Image.Image:
        high = (levels >> (self.bits - 8)).astype(np.uint8)
        grey = Image.fromarray(255 - high if self.inverted else high)
        if self.transparent is None:
            return grey
        opaque = Image.fromarray(np.where(levels == self.transparent, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, opaque)).convert("RGBA").convert("RGBa")


def shrunk(image: Image.Image, reading: Reading, size: tuple[int, int], box: Box) -> Image.Image:
    """Resize the box of a decoded picture to a size (width, height); transparency lies over white.

    Pillow resizes rows, then columns, and rounds in between. So do the bands: the result is the same, bit for
    bit, as of a picture converted whole.
    """
    if image.mode in ("RGB", "L") and reading.transparent is None:
        return _resized(image, size, box).convert("RGB")
    left, top, right, bottom = box
    rows = max(1, BAND // image.width)
    narrow: Image.Image | None = None
    for start in range(0, image.height, rows):
        part = reading.eight_bit(image.crop((0, start, image.width, min(start + rows, image.height))))
        part = _resized(part, (size[0], part.height), (left, 0, right, part.height))
        narrow = narrow or Image.new(part.mode, (size[0], image.height))
        narrow.paste(part, (0, start))
    assert narrow is not None, "every picture has a row"  # noqa: S101
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
