"""The boxes that a file has for an image in its own unit, and the shares of the image that they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from octospoon.adapters.imaging.orientation import SWAPS_AXES
from octospoon.domain.errors import BadImage
from octospoon.domain.task_types.detection.label import Box, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Corners = tuple[float, float, float, float]

NO_NAME = "boxes without a class"
NOT_FINITE = "boxes with a number missing, or one that is not finite"
REVERSED = "boxes whose right or bottom edge comes before the left or top one"
NO_AREA = "boxes without an area"
OUTSIDE = "boxes outside of the image"
UNKNOWN_SIZE = "boxes in pixels of an image of unknown size: name the folder of the images with --images"
OTHER_SIZE = "boxes of an image whose sides have another ratio in the file of labels: correct its size there"
_SAME_RATIO = 0.02
"""Largest relative difference between two ratios of sides that are one image at two sizes."""
_CUT = 1e-6
"""Share of a side by which a box may be cut off without mention."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """One box of a file.

    Attributes:
        place: where it is, for people, such as ``line 7``.
        name: of the class; empty if it has none.
        corners: left, top, right and bottom edge in the unit of its list; NaN for a missing number.
        problem: why it is no box; empty if it is one.
    """

    place: str
    name: str
    corners: Corners
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The boxes of one image.

    Attributes:
        boxes: in any order.
        size: width and height of the image in the unit of the corners; None if the image has to say it.
        pixels: whether the unit is pixels of the image at some size, and not shares.
        whole: whether these are all boxes of the image; rows with single boxes add up.
    """

    boxes: tuple[DrawnBox, ...]
    size: tuple[float, float] | None = (1.0, 1.0)
    pixels: bool = False
    whole: bool = True


class ImageSize(NamedTuple):
    """The size of an image in pixels as stored, and the EXIF number of its orientation, 1 to 8."""

    width: int
    height: int
    orientation: int

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height of the image as people see it."""
        turned = self.orientation in SWAPS_AXES
        return (self.height, self.width) if turned else (self.width, self.height)


@dataclass(frozen=True, slots=True)
class Placed:
    """Boxes as shares of the displayed image.

    Attributes:
        boxes: those that lie on the image.
        left_out: why and where a box is left out.
        cut: the place of each box that was cut off at an edge.
    """

    boxes: list[Box] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


def size_of(file: Path) -> ImageSize | None:
    """Return the size of an image on this disk, from its header; None if it cannot be read as an image."""
    from octospoon.adapters.imaging.image_file import open_image  # most files of labels need no images

    try:
        image = open_image(file.read_bytes())
    except (OSError, BadImage):
        return None
    return ImageSize(*image.size, image.orientation)


def placed(drawn: Drawn, image: ImageSize | None) -> Placed:
    """Return boxes as shares of the image as it is displayed.

    Pixels belong to the size that the file has for the image, or else to that of the displayed image. If the
    file's size is that of the image before EXIF's orientation turns it, its boxes are turned too.

    Args:
        drawn: the boxes of a file.
        image: the size of their image; None if it is not on this disk.
    """
    result = Placed()
    frame = _frame(drawn, image)
    for box in drawn.boxes:
        problem = box.problem or ("" if box.name else NO_NAME) or _problem(box.corners)
        if not problem and isinstance(frame, str):
            problem = frame
        if problem or isinstance(frame, str):
            result.left_out.append((problem, box.place))
            continue
        shares = frame.shares(box.corners)
        inside = rounded(Box(box.name, *(min(max(share, 0.0), 1.0) for share in shares)))
        if inside.whole:
            result.boxes.append(inside)
            if any(abs(share - edge) > _CUT for share, edge in zip(shares, inside[1:], strict=True)):
                result.cut.append(box.place)
        else:
            result.left_out.append((OUTSIDE if _outside(shares) else NO_AREA, box.place))
    return result


class _Frame(NamedTuple):
    """The size of an image in a file's unit, and the orientation by which its boxes are turned."""

    width: float
    height: float
    orientation: int = 1

    def shares(self, corners: Corners) -> Corners:
        """Return corners as shares of the displayed image, which may lie beyond its edges."""
        x1, y1, x2, y2 = (
            corner / side for corner, side in zip(corners, (self.width, self.height) * 2, strict=True)
        )
        turned = {
            5: (y1, x1, y2, x2),
            6: (1 - y2, x1, 1 - y1, x2),
            7: (1 - y2, 1 - x2, 1 - y1, 1 - x1),
            8: (y1, 1 - x2, y2, 1 - x1),
        }
        return turned.get(self.orientation, (x1, y1, x2, y2))


def _frame(drawn: Drawn, image: ImageSize | None) -> _Frame | str:
    """Return the frame of a file's boxes, or why there is none."""
    known = drawn.size if drawn.size and all(0 < side < math.inf for side in drawn.size) else None
    if known is None:
        return _Frame(*image.displayed) if drawn.pixels and image else UNKNOWN_SIZE
    if image is None or not drawn.pixels:
        return _Frame(*known)
    turned = _Frame(*known, image.orientation if image.orientation in SWAPS_AXES else 1)
    frames = ((image.displayed, _Frame(*known)), ((image.width, image.height), turned))
    for tolerance in (0.0, _SAME_RATIO):
        for size, frame in frames:
            if _unlike(known, size) <= tolerance:
                return frame
    return OTHER_SIZE


def _unlike(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the relative difference between two ratios of sides."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1)


def _problem(corners: Corners) -> str:
    if not all(map(math.isfinite, corners)):
        return NOT_FINITE
    left, top, right, bottom = corners
    if right < left or bottom < top:
        return REVERSED
    return NO_AREA if right == left or bottom == top else ""


def _outside(shares: Corners) -> bool:
    left, top, right, bottom = shares
    return right <= 0 or bottom <= 0 or left >= 1 or top >= 1


def number(text: object) -> float:
    """Return what a file has for a number; NaN if it is none."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return math.nan
    try:
        return float(text)
    except (ValueError, OverflowError):
        return math.nan


def from_sides(left: float, top: float, width: float, height: float) -> Corners:
    """Return the corners of a box that a file has as its top left corner, width and height."""
    return left, top, left + width, top + height


def class_names(boxes: tuple[DrawnBox, ...]) -> Iterator[tuple[str, str]]:
    """Yield each class of an image once, by name, then why a box has none; one of the two is empty."""
    for name in sorted({box.name for box in boxes if box.name}):
        yield name, ""
    for problem in dict.fromkeys(box.problem for box in boxes if not box.name):
        yield "", problem
