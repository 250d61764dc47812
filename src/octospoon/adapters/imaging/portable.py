"""Write images so that any program sees the pixels that octospoon sees."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from octospoon.adapters.imaging.decode import Target, decode_opened
from octospoon.adapters.imaging.image_file import open_image
from octospoon.adapters.imaging.orientation import SWAPS_AXES, UPRIGHT
from octospoon.adapters.imaging.pillow_images import opened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from octospoon.adapters.imaging.open_image import OpenImage

_PLAIN = {"JPEG": ".jpg", "PNG": ".png"}
_MODES = ("RGB", "L")
_REDUCED = 8
"""libjpeg decodes at an eighth of the size fastest, and still reads the whole file."""
_FAST = 1


@dataclass(frozen=True, slots=True)
class PortableImage:
    """An image file that needs no special care: an upright JPEG or PNG with eight bits and without alpha.

    Attributes:
        data: the file.
        extension: of its name.
        width: in pixels.
        height: in pixels.
    """

    data: bytes
    extension: str
    width: int
    height: int


def portable(data: bytes) -> PortableImage:
    """Return a file that shows the same pixels in any program.

    Many programs ignore an image's orientation or transparency, or cannot read its format. A JPEG or PNG
    without such features is returned as it is. Every other image becomes a PNG of what `decode` returns.

    Args:
        data: the file's bytes, in one of `file_kinds.FORMATS`.

    Raises:
        BadImage: see `decode`.
    """
    image = open_image(data)
    if _is_plain(image, data):
        return PortableImage(data, _PLAIN[image.kind], *image.size)
    pixels, file = _pixels(image), io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=_FAST)
    return PortableImage(file.getvalue(), ".png", pixels.shape[1], pixels.shape[0])


def _is_plain(image: OpenImage, data: bytes) -> bool:
    """Return whether any program reads the file as octospoon does, and to its end."""
    if image.kind not in _PLAIN or image.orientation != UPRIGHT:
        return False
    try:
        file = opened(image.kind, data)
        if file.mode not in _MODES or "transparency" in file.info or getattr(file, "is_animated", False):
            return False
        file.draft("RGB", (file.width // _REDUCED, file.height // _REDUCED))
        file.load()
    except Exception:  # noqa: BLE001  a damaged file makes decoders raise nearly anything
        return False
    return True


def _pixels(image: OpenImage) -> npt.NDArray[np.uint8]:
    """Return all pixels of an image, uint8 [H, W, 3], upright."""
    size = _upright_size(image)
    pixels = decode_opened(image, Target(size[1], size[0], "squash")).pixels
    if (now := _upright_size(image)) != size:  # a HEIC's size may be known only now
        return decode_opened(image, Target(now[1], now[0], "squash")).pixels
    return pixels


def _upright_size(image: OpenImage) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if image.orientation in SWAPS_AXES else (width, height)
