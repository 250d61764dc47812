"""Images that Pillow decodes."""

from __future__ import annotations

import io
import re
from importlib import import_module
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from octospoon.adapters.imaging.gif import first_frame
from octospoon.adapters.imaging.jpeg import JpegFile
from octospoon.adapters.imaging.limits import MAX_DECODED, affordable, check_size
from octospoon.adapters.imaging.orientation import UPRIGHT, orientation
from octospoon.adapters.imaging.pixels import PillowSource, Reading
from octospoon.adapters.imaging.png import PngFile
from octospoon.adapters.imaging.webp import WebpFile

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from octospoon.adapters.imaging.pixels import Source

_PLUGINS = {"PNG": "Png", "WEBP": "WebP", "TIFF": "Tiff", "BMP": "Bmp", "GIF": "Gif", "AVIF": "Avif"}
"""A plugin is imported for the first image of its format. Pillow's other plugins are never imported."""
_COEFFICIENT_BYTES = 2
_AVIF_HEADER = 65_536
"""The header of a file lies within this many bytes."""
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{3}.{2}|\x03.{3}.{4}).{2})Exif", re.DOTALL)
_COMPARED_BYTES = 12
"""Bytes per pixel for two images and their difference."""
_BUFFERS = {"WEBP": 4, "AVIF": 3}
"""How many copies of the pixels these decoders hold."""

Image.MAX_IMAGE_PIXELS = None  # `limits` raises errors; Pillow would only warn


class PillowImage:
    """Implements `octospoon.adapters.imaging.open_image.OpenImage`.

    Args:
        kind: one of `_PLUGINS`.
        data: the file, without parts that do not affect the pixels.
        oriented: its EXIF orientation, 1 to 8.
        deep: whether its samples have sixteen bits.
    """

    def __init__(self, kind: str, data: bytes, oriented: int = UPRIGHT, *, deep: bool = False) -> None:
        self.kind = kind
        self.orientation = oriented
        self._deep = deep
        self._image = opened(kind, data)
        self._bytes = len(data)
        self.size = self._image.size
        check_size(*self.size)
        self._reading = Reading.of(self._image)

    def draft(self, size: tuple[int, int]) -> None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        self._image.draft("RGB", size)

    def cost(self) -> int:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        return affordable(self.size, self.kind, self._image.width * self._image.height * self._pixel_bytes())

    def load(self) -> Source:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        self._image.load()
        return PillowSource(self._image, self._reading, deep=self._deep)

    def completed(self) -> PillowImage | None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        return None

    def info(self, name: str) -> bytes:
        """Return metadata that Pillow has read; empty for none."""
        value = self._image.info.get(name)
        return value if isinstance(value, bytes) else b""

    def _pixel_bytes(self) -> float:
        mode = self._image.mode
        bytes_a_pixel = {"1": 1, "L": 1, "P": 1}.get(mode, 2 if mode.startswith("I;16") else 4)
        if self.kind == "BMP" and self._image.tile[0].codec_name != "raw":
            return bytes_a_pixel * 2  # runs are unpacked in addition to the image
        return bytes_a_pixel * _BUFFERS.get(self.kind, 1)


class JpegImage(PillowImage):
    """A JPEG, scaled while it is decoded, and read at once instead of in blocks of 64 KB."""

    def __init__(self, data: bytes) -> None:
        self._file = JpegFile.parse(data)
        super().__init__("JPEG", self._file.stripped(), orientation(self._file.exif, self._file.xmp))
        self._image.decodermaxblock = self._bytes

    def cost(self) -> int:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        needed = self._image.width * self._image.height * self._pixel_bytes()
        if self._file.progressive:  # libjpeg keeps the coefficients of the whole image
            needed += self.size[0] * self.size[1] * self._coefficients() * _COEFFICIENT_BYTES
        return affordable(self.size, self.kind, needed)

    def completed(self) -> PillowImage | None:
        """See `octospoon.adapters.imaging.open_image.OpenImage`."""
        forms = self._file.completed()
        return JpegImage(forms[0]) if forms and _same_pixels(*forms) else None

    def _coefficients(self) -> float:
        """Return the number of coefficients per pixel."""
        factors = [(across, down) for _, across, down in self._file.components()]
        most = max(across for across, _ in factors) * max(down for _, down in factors)
        return sum(across * down for across, down in factors) / most


def _same_pixels(first: bytes, second: bytes) -> bool:
    """Return True if two JPEGs decode to the same pixels; large ones are compared scaled down."""
    images = opened("JPEG", first), opened("JPEG", second)
    width, height = images[0].size
    halvings = 0
    while (width >> halvings) * (height >> halvings) * _COMPARED_BYTES > MAX_DECODED:
        halvings += 1
    for image in images:
        image.draft("RGB", (max(1, width >> halvings), max(1, height >> halvings)))
        try:
            image.load()
        except OSError:
            return False
    return ImageChops.difference(*images).getbbox() is None


def png(data: bytes) -> PillowImage:
    """Open a PNG."""
    file = PngFile.parse(data)
    return PillowImage("PNG", file.stripped(), orientation(file.exif, file.xmp), deep=file.depth == 16)


def webp(data: bytes) -> PillowImage:
    """Open a WebP."""
    file = WebpFile.parse(data)
    check_size(*file.canvas)  # Pillow reserves the canvas when it opens the file
    return PillowImage("WEBP", file.stripped, orientation(file.exif, file.xmp))


def gif(data: bytes) -> PillowImage:
    """Open a GIF."""
    return PillowImage("GIF", first_frame(data))


def avif(data: bytes) -> PillowImage:
    """Open an AVIF. Pillow returns the orientation of its properties as an EXIF number.

    The file's own EXIF may be damaged. It is ignored and hidden from Pillow.
    """
    start = _EXIF_ITEM.sub(rb"\1none", data[:_AVIF_HEADER])
    image = PillowImage("AVIF", start + data[_AVIF_HEADER:])
    image.orientation = orientation(image.info("exif"))
    return image


def opened(kind: str, data: bytes) -> ImageFile:
    """Let Pillow read a file's header; raises any error of Pillow."""
    if kind == "JPEG":
        # the registered factory would also read an index of more images, which may be damaged
        from PIL.JpegImagePlugin import JpegImageFile

        return JpegImageFile(io.BytesIO(data), "")
    if kind not in Image.OPEN:
        import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
    factory, _ = Image.OPEN[kind]
    return factory(io.BytesIO(data), "")
