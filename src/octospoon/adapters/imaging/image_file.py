"""Open an image file: read its header and check the cost of decoding it, without decoding a pixel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from octospoon.adapters.imaging import pillow_images
from octospoon.adapters.imaging.bmp import bmp
from octospoon.adapters.imaging.file_kinds import format_of
from octospoon.adapters.imaging.heif import HeifImage
from octospoon.adapters.imaging.tiff.image import tiff
from octospoon.domain.errors import BadImage, OctospoonError

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.adapters.imaging.open_image import OpenImage

_UNREAD = re.compile(r"cannot handle|unsupported|unknown pixel mode|samples per pixel", re.IGNORECASE)
_TOO_MUCH = re.compile(r"data too large|too much memory|security limit", re.IGNORECASE)


_OPENERS: dict[str, Callable[[bytes], OpenImage]] = {
    "JPEG": pillow_images.JpegImage,
    "PNG": pillow_images.png,
    "WEBP": pillow_images.webp,
    "GIF": pillow_images.gif,
    "TIFF": tiff,
    "BMP": bmp,
    "HEIC": HeifImage,
    "AVIF": pillow_images.avif,
}


def open_image(data: bytes) -> OpenImage:
    """Read a file's header and check that decoding it is worth its cost.

    Raises:
        BadImage: reason ``empty``, ``not-an-image``, ``too-large``, ``too-narrow``, ``unsupported`` or
            ``truncated``.
    """
    if not data:
        raise BadImage("empty", "the file has no bytes")
    kind = format_of(data)
    try:
        return _OPENERS[kind](data)
    except OctospoonError:
        raise
    except Exception as error:
        raise bad(error) from error


def bad(error: Exception) -> BadImage:
    """Convert what a decoder raised into the reason for a quarantine.

    A broken file makes decoders raise nearly anything: whatever it is, trying again cannot help.
    """
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or _TOO_MUCH.search(message):
        return BadImage("too-large", message)
    if _UNREAD.search(message):
        return BadImage("unsupported", f"this kind is not read: {message}")
    return BadImage("truncated", f"the file is cut off or damaged: {message}")
