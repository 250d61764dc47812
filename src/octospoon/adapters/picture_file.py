"""A picture's bytes -> an open image that is worth its cost, or the reason why not; no pixel is decoded."""

from __future__ import annotations

import io
import re
import struct
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, cast

from PIL import Image, JpegImagePlugin

from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile
    from PIL.TiffImagePlugin import TiffImageFile

_PLUGINS = {"JPEG": "Jpeg", "PNG": "Png", "WEBP": "WebP", "TIFF": "Tiff", "BMP": "Bmp", "GIF": "Gif"}
"""Each is imported for the first picture of its format, and none of Pillow's other thirty-odd is."""
FORMATS = tuple(_PLUGINS)
MAX_PIXELS = 250_000_000
"""More than any camera has. Most formats meet MAX_DECODED first."""
MAX_SIDE = 65_535
"""As in JPEG. A few bytes of PNG can claim MAX_PIXELS rows of one pixel, which take gigabytes and seconds."""
MAX_RATIO = 500
"""Of the long side to the short one: of anything narrower, no model sees a picture."""
MAX_SCANS = 200
"""Of a progressive JPEG, which has about ten: each is a pass over the whole picture for a few bytes."""
MAX_DECODED = 400_000_000
"""Bytes that decoding one picture may take: 100 megapixels of PNG, 25 of WebP; a JPEG is scaled first."""

DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)
"""What Pillow raises where a file is not as its format says."""

_MAGIC = {
    "JPEG": (b"\xff\xd8",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
}
_FOREIGN = (
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypavi", "AVIF"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"v/1\1", "OpenEXR"),
)
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
"""Baseline, extended and progressive, Huffman and arithmetic: the others are lossless or hierarchical."""
_NO_FRAMES = {0xC4, 0xC8, 0xCC}
_JPEG_LS = 0xF7
_ORIENTATION = 0x0112
_ROWS_PER_STRIP = 278
_COEFFICIENT_BYTES = 2
_WEBP_BUFFERS = 4
_UNREAD = re.compile(r"cannot handle|unsupported|unknown pixel mode|samples per pixel|^\d+$", re.IGNORECASE)
_TOO_MUCH = re.compile(r"data too large|too much memory", re.IGNORECASE)

Image.MAX_IMAGE_PIXELS = None  # our own limits answer with an error, not with a warning


def open_picture(data: bytes) -> ImageFile:
    """Read a file's header and check that decoding it is worth its cost.

    Raises:
        BadImage: reason ``empty``, ``not-an-image``, ``too-large``, ``too-narrow``, ``unsupported`` or
            ``truncated``.
    """
    if not data:
        raise BadImage("empty", "the file has no bytes")
    kind = format_of(data)
    if kind == "JPEG":
        _check_coding(data)
    if kind == "WEBP":
        _check_size(*_canvas(data))  # Pillow reserves the canvas when it opens the file
    if kind not in Image.OPEN:
        import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
    factory, _ = Image.OPEN[kind]
    try:
        image = factory(io.BytesIO(data), "")
    except DECODE_ERRORS as error:
        raise bad(error) from error
    _check_size(*image.size)
    return image


def bad(error: Exception) -> BadImage:
    """Turn what Pillow raised into the reason for a quarantine."""
    message = str(error)
    if _TOO_MUCH.search(message):
        return BadImage("too-large", message)
    if _UNREAD.search(message):
        return BadImage("unsupported", f"Pillow does not read this kind: {message}")
    return BadImage("truncated", f"the file is cut off or damaged: {message}")


def cost(image: ImageFile, full: tuple[int, int]) -> int:
    """Return the bytes that decoding takes.

    Args:
        image: whose scale is settled.
        full: its size before that.

    Raises:
        BadImage: reason ``too-large``: they are more than MAX_DECODED.
    """
    found = int(image.width * image.height * _pixel_bytes(image))
    if isinstance(image, JpegImagePlugin.JpegImageFile) and "progressive" in image.info:
        found += int(full[0] * full[1] * _coefficients(image) * _COEFFICIENT_BYTES)
    if found > MAX_DECODED:
        raise BadImage(
            "too-large",
            f"{full[0]}×{full[1]} pixels of {image.format} take {found:,} bytes, over {MAX_DECODED:,}",
        )
    return found


def _coefficients(image: JpegImagePlugin.JpegImageFile) -> float:
    """Return how many coefficients there are for a pixel: libjpeg keeps those of a progressive file."""
    factors = [(across, down) for _, across, down, _ in image.layer]
    most = max(across for across, _ in factors) * max(down for _, down in factors)
    return sum(across * down for across, down in factors) / most


def _pixel_bytes(image: ImageFile) -> float:
    each = {"1": 1, "L": 1, "P": 1}.get(image.mode, 2 if image.mode.startswith("I;16") else 4)
    if image.format == "WEBP":
        return each * _WEBP_BUFFERS
    if image.format == "BMP" and image.tile[0].codec_name != "raw":
        return each * 2  # runs are unpacked beside the picture
    return each * (1 + _beside(cast("TiffImageFile", image))) if image.format == "TIFF" else each


def _beside(image: TiffImageFile) -> float:
    """Return the share of a TIFF that libtiff unpacks at once, or all of it where it is turned in place."""
    if image.tag_v2.get(_ORIENTATION, 1) != 1:
        return 1
    packed = any(tile.codec_name != "raw" for tile in image.tile)
    return min(1, image.tag_v2.get(_ROWS_PER_STRIP, image.height) / image.height) if packed else 0


def format_of(data: bytes) -> str:
    """Return which of FORMATS a file begins like; raises BadImage, ``not-an-image`` or ``unsupported``."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    for kind, starts in _MAGIC.items():
        if data.startswith(starts):
            return kind
    for at, start, name in _FOREIGN:
        if data.startswith(start, at):
            raise BadImage("unsupported", f"{name} is not read: convert it to one of {', '.join(FORMATS)}")
    raise BadImage("not-an-image", f"not a {', '.join(FORMATS)} file")


def _check_size(width: int, height: int) -> None:
    short, long = sorted((width, height))
    if short * long > MAX_PIXELS:
        raise BadImage("too-large", f"{width}×{height} is over {MAX_PIXELS:,} pixels")
    if long > MAX_SIDE:
        raise BadImage("too-large", f"{width}×{height} has a side over {MAX_SIDE:,} pixels")
    if long > MAX_RATIO * short:
        raise BadImage("too-narrow", f"{width}×{height} is longer than {MAX_RATIO} to 1")


def _check_coding(data: bytes) -> None:
    frame = _frame(data)
    if frame is not None and frame not in _FRAMES:
        raise BadImage("unsupported", f"JPEG of a lossless or hierarchical kind (marker FF{frame:02X})")
    if frame in (0xC2, 0xCA) and (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise BadImage("too-large", f"{scans} scans are over {MAX_SCANS}")


def _frame(data: bytes) -> int | None:
    """Return the marker that says how a JPEG is coded, None where there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES) or marker == _JPEG_LS:
            return marker
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _canvas(data: bytes) -> tuple[int, int]:
    """Return the canvas that an extended WebP claims, for any other the smallest one."""
    if data[12:16] != b"VP8X" or len(data) < 30:
        return 1, 1
    return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
