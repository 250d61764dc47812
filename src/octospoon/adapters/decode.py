"""Picture bytes -> the uint8 tensor that a model takes: the same code in training and in serving.

The resampling kernel matters more to an embedding than anything else here, so there is exactly one:
Pillow's antialiased bilinear, on the region that the resize rule names, after a JPEG decode scaled to no
less than twice the target.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import (  # each plug-in named: else Pillow imports all forty at the first WebP
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    import numpy.typing as npt

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
MAX_PIXELS = 100_000_000
"""A 100-megapixel picture takes 300 MB once decoded; more is taken for a decompression bomb."""
MAX_SIDE = 65_535
"""As in JPEG. A few bytes of PNG can claim MAX_PIXELS rows of one pixel, which take gigabytes and seconds."""
MAX_RATIO = 500
"""Of the long side to the short one: of anything narrower, no model sees a picture."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_AXES = (5, 6, 7, 8)
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error, zlib.error)

Image.MAX_IMAGE_PIXELS = None  # our own limit below answers with an error, not with a warning


def decode(data: bytes, height: int, width: int, resize: str) -> npt.NDArray[np.uint8]:
    """Decode one picture and resize it.

    Args:
        data: the file's bytes, in one of FORMATS; of an animation, the first frame counts.
        height: of the result, in pixels.
        width: of the result, in pixels.
        resize: ``squash`` or ``cover``, see `octospoon.domain.model_spec.RESIZE_RULES`.

    Returns:
        uint8 [height, width, 3], RGB, upright by EXIF orientation, transparency over white.

    Raises:
        BadImage: reason ``empty``, ``not-an-image``, ``too-large``, ``too-narrow``, ``unsupported`` or
            ``truncated``.
    """
    if not data:
        raise BadImage("empty", "the file has no bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            return _resized(image, height, width, resize)
    except UnidentifiedImageError as error:
        raise BadImage("not-an-image", f"not a {', '.join(FORMATS)} file") from error
    except _DECODE_ERRORS as error:
        raise BadImage("truncated", f"the file is cut off or damaged: {error}") from error


def _check_size(image: Image.Image) -> None:
    short, long = sorted(image.size)
    if short * long > MAX_PIXELS:
        raise BadImage("too-large", f"{image.width}×{image.height} is over {MAX_PIXELS:,} pixels")
    if long > MAX_SIDE:
        raise BadImage("too-large", f"{image.width}×{image.height} has a side over {MAX_SIDE:,} pixels")
    if long > MAX_RATIO * short:
        raise BadImage("too-narrow", f"{image.width}×{image.height} is longer than {MAX_RATIO} to 1")


def _resized(image: Image.Image, height: int, width: int, resize: str) -> npt.NDArray[np.uint8]:
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in _SWAPS_AXES:
        height, width = width, height
    full = image.size
    image.draft("RGB", _at_least(full, height, width))
    image.load()
    small = _eight_bit(image).resize(
        (width, height),
        Image.Resampling.BILINEAR,
        box=_region(image.size, height, width, resize),
    )
    if orientation in _TURNS:
        small = small.transpose(_TURNS[orientation])
    return np.asarray(_on_white(small))


def _at_least(full: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    # draft() takes the smallest scale that covers both sides; of a long panorama the short side decides
    scale = max(2 * width / full[0], 2 * height / full[1])
    return (int(full[0] * scale), int(full[1] * scale)) if scale < 1 else full


def _region(size: tuple[int, int], height: int, width: int, resize: str) -> tuple[float, float, float, float]:
    full_width, full_height = size
    if resize == "squash":
        return (0, 0, full_width, full_height)
    scale = min(full_width / width, full_height / height)
    left, top = (full_width - width * scale) / 2, (full_height - height * scale) / 2
    return (left, top, left + width * scale, top + height * scale)


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "L", "1") and "transparency" in image.info:  # one colour stands for transparent
        return image.convert("RGBA")
    if image.mode in ("RGB", "RGBA", "L"):
        return image
    if image.mode.startswith("I"):  # 16-bit greyscale
        return Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "1"):
        return image.convert("RGB")
    if image.mode in ("P", "PA", "LA", "La", "RGBa"):
        return image.convert("RGBA")
    raise BadImage("unsupported", f"pixels of mode {image.mode} have no fixed range")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image if image.mode == "RGB" else image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white
