"""Picture bytes -> the uint8 tensor that a model takes: the same code in training and in serving.

The resampling kernel matters more to an embedding than anything else here, so there is exactly one:
Pillow's antialiased bilinear, on the region that the resize rule names, after a JPEG decode scaled to no
less than twice the target.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from octospoon.adapters.imaging.image_file import bad, open_picture
from octospoon.adapters.imaging.limits import MAX_DECODED
from octospoon.adapters.imaging.orientation import SWAPS_AXES
from octospoon.adapters.imaging.pixels import shrunk
from octospoon.domain.errors import OctospoonError
from octospoon.usecases.byte_budget import ByteBudget

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.adapters.imaging.picture import Picture

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
    """What a picture is to become.

    Attributes:
        height: in pixels.
        width: in pixels.
        resize: ``squash`` or ``cover``, see `octospoon.domain.model_spec.RESIZE_RULES`.
    """

    height: int
    width: int
    resize: str

    def region(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the part of a picture that counts: left, top, right, bottom, all of them inside it."""
        if self.resize == "squash":
            return (0, 0, width, height)
        scale = min(width / self.width, height / self.height)
        # rounded, these may be over the picture's sides by 1e-13
        across, down = min(self.width * scale, width), min(self.height * scale, height)
        left, top = (width - across) / 2, (height - down) / 2
        return (left, top, min(left + across, width), min(top + down, height))

    def doubled(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which a JPEG may be scaled at most: twice the target on both sides."""
        # draft() takes the smallest scale that covers both sides; of a long panorama the short side decides
        scale = max(2 * self.width / width, 2 * self.height / height)
        return (int(width * scale), int(height * scale)) if scale < 1 else (width, height)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as a model sees it.

    Attributes:
        pixels: uint8 [height, width, 3], RGB.
        note: what somebody who looks at it should know; empty as a rule.
    """

    pixels: npt.NDArray[np.uint8]
    note: str


def decode(data: bytes, height: int, width: int, resize: str) -> npt.NDArray[np.uint8]:
    """Decode one picture and resize it.

    Whatever is decoded at once in this process takes no more than about MAX_DECODED bytes: a call waits where
    others hold too many.

    Args:
        data: the file's bytes, in one of `picture_file.FORMATS`; of an animation, the first frame counts.
        height: of the result, in pixels.
        width: of the result, in pixels.
        resize: ``squash`` or ``cover``, see `octospoon.domain.model_spec.RESIZE_RULES`.

    Returns:
        uint8 [height, width, 3], RGB, upright by EXIF orientation, transparency over white.

    Raises:
        BadImage: reason ``empty``, ``not-an-image``, ``too-large``, ``too-narrow``, ``unsupported`` or
            ``truncated``.
    """
    return decode_opened(open_picture(data), Target(height, width, resize)).pixels


def decode_opened(picture: Picture, target: Target) -> Decoded:
    """Decode an open picture and resize it; see `decode`."""
    try:
        return _decoded(picture, target)
    except OctospoonError:
        raise
    except Exception as error:
        reason = bad(error)
        if reason.reason == "truncated":
            with suppress(Exception):  # the first error is the one that tells
                if (completed := _completed(picture)) is not None:
                    return _decoded(completed, target)
        raise reason from error


def _completed(picture: Picture) -> Picture | None:
    """Return the picture without what is missing behind its last pixel; None where pixels are missing."""
    lease = _under_way.reserve(MAX_DECODED)
    try:
        return picture.completed()
    finally:
        lease.release()


def _decoded(picture: Picture, target: Target) -> Decoded:
    picture.draft(_upright(target, picture.orientation).doubled(*picture.size))
    lease = _under_way.reserve(picture.cost())
    try:
        source = picture.load()
        lying = _upright(target, picture.orientation)
        small = shrunk(source, (lying.width, lying.height), lying.region(*source.size))
    finally:
        lease.release()
    if picture.orientation in _TRANSPOSITIONS:
        small = small.transpose(_TRANSPOSITIONS[picture.orientation])
    pixels = np.frombuffer(small.tobytes(), np.uint8).reshape(target.height, target.width, 3)
    return Decoded(pixels, source.note)


def _upright(target: Target, orientation: int) -> Target:
    """Return the target as it lies in a file of this orientation."""
    swapped = orientation in SWAPS_AXES
    return Target(target.width, target.height, target.resize) if swapped else target
