"""Decode image bytes to the uint8 tensor that a model takes, with the same code in training and serving.

The resampling kernel has the largest effect on an embedding, so there is only one: Pillow's antialiased
bilinear filter, on the region that the resize rule defines. A JPEG is first decoded at a scale of at least
twice the target.
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

_under_way = ByteBudget(MAX_DECODED)


@dataclass(frozen=True, slots=True)
class Target:
    """The size of the result, and how to reach it.

    Attributes:
        height: in pixels.
        width: in pixels.
        resize: ``squash`` or ``cover``, see `octospoon.domain.model_spec.RESIZE_RULES`.
    """

    height: int
    width: int
    resize: str

    def region(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the part of an image to use as left, top, right and bottom, all inside the image."""
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
        pixels: uint8 [height, width, 3], RGB.
        note: a remark for a person who looks at the image; usually empty.
    """

    pixels: npt.NDArray[np.uint8]
    note: str


def decode(data: bytes, height: int, width: int, resize: str) -> npt.NDArray[np.uint8]:
    """Decode one image and resize it.

    All concurrent calls in this process together take about MAX_DECODED bytes at most. A call waits while
    others hold too many.

    Args:
        data: the file's bytes, in one of `file_kinds.FORMATS`; the first frame of an animation is used.
        height: of the result, in pixels.
        width: of the result, in pixels.
        resize: ``squash`` or ``cover``, see `octospoon.domain.model_spec.RESIZE_RULES`.

    Returns:
        uint8 [height, width, 3], RGB, upright by EXIF orientation, transparency over white.

    Raises:
        BadImage: reason ``empty``, ``not-an-image``, ``too-large``, ``too-narrow``, ``unsupported`` or
            ``truncated``.
    """
    return decode_opened(open_image(data), Target(height, width, resize)).pixels


def decode_opened(image: OpenImage, target: Target) -> Decoded:
    """Decode an open image and resize it; see `decode`."""
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
    image.draft(_upright(target, image.orientation).doubled(*image.size))
    lease = _under_way.reserve(image.cost())
    try:
        source = image.load()
        lying = _upright(target, image.orientation)
        small = shrunk(source, (lying.width, lying.height), lying.region(*source.size))
    finally:
        lease.release()
    if image.orientation in _TRANSPOSITIONS:
        small = small.transpose(_TRANSPOSITIONS[image.orientation])
    pixels = np.frombuffer(small.tobytes(), np.uint8).reshape(target.height, target.width, 3)
    return Decoded(pixels, source.note)


def _upright(target: Target, orientation: int) -> Target:
    """Return the target with swapped sides if this orientation swaps them."""
    swapped = orientation in SWAPS_AXES
    return Target(target.width, target.height, target.resize) if swapped else target
