"""Picture bytes -> the uint8 tensor that a model takes: the same code in training and in serving.

The resampling kernel matters more to an embedding than anything else here, so there is exactly one:
Pillow's antialiased bilinear, on the region that the resize rule names, after a JPEG decode scaled to no
less than twice the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from octospoon.adapters.picture_file import DECODE_ERRORS, MAX_DECODED, bad, cost, open_picture
from octospoon.adapters.pixels import Reading, shrunk
from octospoon.usecases.byte_budget import ByteBudget

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.ImageFile import ImageFile

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
        """Return the part of a picture that counts: left, top, right, bottom."""
        if self.resize == "squash":
            return (0, 0, width, height)
        scale = min(width / self.width, height / self.height)
        left, top = (width - self.width * scale) / 2, (height - self.height * scale) / 2
        return (left, top, left + self.width * scale, top + self.height * scale)

    def doubled(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which a JPEG may be scaled at most: twice the target on both sides."""
        # draft() takes the smallest scale that covers both sides; of a long panorama the short side decides
        scale = max(2 * self.width / width, 2 * self.height / height)
        return (int(width * scale), int(height * scale)) if scale < 1 else (width, height)


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
    target = Target(height, width, resize)
    with open_picture(data) as image:
        try:
            small = _decoded(image, target, len(data))
            return np.frombuffer(small.tobytes(), np.uint8).reshape(height, width, 3)
        except DECODE_ERRORS as error:
            raise bad(error) from error


def _decoded(image: ImageFile, target: Target, size: int) -> Image.Image:
    scales = image.format in ("JPEG", "MPO")
    orientation = _orientation(image) if scales else 1  # of the others it is known after load()
    full, reading = image.size, Reading.of(image)
    image.draft("RGB", _upright(target, orientation).doubled(*full))
    if scales:
        image.decodermaxblock = size  # the file at once, without a copy, instead of in pieces of 64 KB
    lease = _under_way.reserve(cost(image, full))
    try:
        image.load()
        orientation = orientation if scales else _orientation(image)
        lying = _upright(target, orientation)
        small = shrunk(image, reading, (lying.width, lying.height), lying.region(*image.size))
    finally:
        lease.release()
    return small.transpose(_TURNS[orientation]) if orientation in _TURNS else small


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except DECODE_ERRORS:  # a picture is no worse for what is wrong beside it
        return 1
    return found if isinstance(found, int) else 1


def _upright(target: Target, orientation: int) -> Target:
    """Return the target as it lies in a file of this orientation."""
    swapped = orientation in _SWAPS_AXES
    return Target(target.width, target.height, target.resize) if swapped else target
