"""Decode image bytes to the uint8 tensor that a model takes, with the same code in training and serving.

The resampling kernel has the largest effect on an embedding, so there is only one: Pillow's antialiased
bilinear filter, on the region that the resize rule defines. A JPEG is first decoded at a scale of at least
twice the target. A letterboxed image has the grey around it that YOLO's exporters use.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from octospoon.adapters.imaging.image_file import bad, open_image
from octospoon.adapters.imaging.limits import MAX_DECODED
from octospoon.adapters.imaging.orientation import SWAPS_AXES
from octospoon.adapters.imaging.pixels import shrunk
from octospoon.domain.errors import OctospoonError
from octospoon.domain.pool import framing
from octospoon.usecases.byte_budget import ByteBudget

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.adapters.imaging.open_image import OpenImage

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

GREY = 114
"""The value of every colour around a letterboxed image."""
_under_way = ByteBudget(MAX_DECODED)


@dataclass(frozen=True, slots=True)
class Target:
    """The size of the result, and how to reach it.

    Attributes:
        height: in pixels.
        width: in pixels.
        resize: one of `octospoon.domain.model_spec.RESIZE_RULES`.
    """

    height: int
    width: int
    resize: str

    def inner(self, width: int, height: int) -> Target:
        """Return the target of the pixels that show an image of this size, without grey around it."""
        if self.resize != "letterbox":
            return self
        fitted = framing.letterbox((self.width, self.height), (width, height))
        return Target(fitted[1], fitted[0], "squash")

    def region(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the part of an image to use as left, top, right and bottom, all inside the image.

        A letterboxed image is used as a whole, by its `inner` target.
        """
        if self.resize == "squash":
            return (0, 0, width, height)
        scale = min(width / self.width, height / self.height)
        # rounding may put these beyond the sides by 1e-13
        across, down = min(self.width * scale, width), min(self.height * scale, height)
        left, top = (width - across) / 2, (height - down) / 2
        return (left, top, min(left + across, width), min(top + down, height))

    def doubled(self, width: int, height: int) -> tuple[int, int]:
        """Return the smallest size to which a JPEG may be scaled: twice the target on both sides."""
        # draft() takes the smallest scale that covers both sides; for a long panorama the short side decides
        scale = max(2 * self.width / width, 2 * self.height / height)
        return (int(width * scale), int(height * scale)) if scale < 1 else (width, height)


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image in the form that a model takes.

    Attributes:
        framed: its pixels, and the part of the image that they show.
        note: a remark for a person who looks at the image; usually empty.
    """

    framed: framing.Framed
    note: str

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The pixels, uint8 [height, width, 3], RGB."""
        return self.framed.pixels


def decode(data: bytes, height: int, width: int, resize: str) -> npt.NDArray[np.uint8]:
    """Decode one image and resize it; see `frame`."""
    return frame(data, height, width, resize).pixels


def frame(data: bytes, height: int, width: int, resize: str) -> framing.Framed:
    """Decode one image and resize it.

    All concurrent calls in this process together take about MAX_DECODED bytes at most. A call waits while
    others hold too many.

    Args:
        data: the file's bytes, in one of `file_kinds.FORMATS`; the first frame of an animation is used.
        height: of the result, in pixels.
        width: of the result, in pixels.
        resize: one of `octospoon.domain.model_spec.RESIZE_RULES`.

    Returns:
        uint8 [height, width, 3], RGB, upright by EXIF orientation, transparency over white, and the part of
        the upright image that it shows.

    Raises:
        BadImage: reason ``empty``, ``not-an-image``, ``too-large``, ``too-narrow``, ``unsupported`` or
            ``truncated``.
    """
    return decode_opened(open_image(data), Target(height, width, resize)).framed


def decode_opened(image: OpenImage, target: Target) -> Decoded:
    """Decode an open image and resize it; see `frame`."""
    try:
        return _decoded(image, target)
    except OctospoonError:
        raise
    except Exception as error:
        reason = bad(error)
        if reason.reason == "truncated":
            with suppress(Exception):  # report the first error, not one from this repair
                if (completed := _completed(image)) is not None:
                    return _decoded(completed, target)
        raise reason from error


def _completed(image: OpenImage) -> OpenImage | None:
    """Return the image if only data after its last pixel is missing; None if pixels are missing."""
    lease = _under_way.reserve(MAX_DECODED)
    try:
        return image.completed()
    finally:
        lease.release()


def _decoded(image: OpenImage, target: Target) -> Decoded:
    size = image.size
    image.draft(_lying(target, image.orientation).inner(*size).doubled(*size))
    lease = _under_way.reserve(image.cost())
    try:
        source = image.load()
        lying = _lying(target, image.orientation).inner(*size)
        used = lying.region(*source.size)
        small = shrunk(source, (lying.width, lying.height), used)
    finally:
        lease.release()
    if image.orientation in _TRANSPOSITIONS:
        small = small.transpose(_TRANSPOSITIONS[image.orientation])
    pixels = np.frombuffer(small.tobytes(), np.uint8).reshape(small.height, small.width, 3)
    if target.resize == "letterbox":
        return Decoded(_on_grey(pixels, target), source.note)
    return Decoded(framing.Framed(pixels, _region(used, source.size, image.orientation)), source.note)


def _region(used: tuple[float, float, float, float], size: tuple[int, int], number: int) -> framing.Region:
    """Return the used part of an image of a size, in pixels as stored, as a region of the upright image.

    The part is in the middle, so turning or mirroring the image only swaps its axes.
    """
    (width, height), (left, top, right, bottom) = size, used
    region = framing.Region(left / width, top / height, right / width, bottom / height)
    return region.transposed if number in SWAPS_AXES else region


def _on_grey(pixels: npt.NDArray[np.uint8], target: Target) -> framing.Framed:
    """Return uint8 [h, w, 3] in the middle of a grey target."""
    height, width, _ = pixels.shape
    size = target.width, target.height
    left, top = framing.letterbox_offset(size, (width, height))
    canvas = np.full((target.height, target.width, 3), GREY, np.uint8)
    canvas[top : top + height, left : left + width] = pixels
    return framing.Framed(canvas, framing.letterbox_region(size, (width, height)))


def _lying(target: Target, orientation: int) -> Target:
    """Return the target with swapped sides if this orientation swaps them."""
    swapped = orientation in SWAPS_AXES
    return Target(target.width, target.height, target.resize) if swapped else target
