"""The label of an image with boxes: the class and the place of every object."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DECIMALS = 7
"""Coordinates keep this many decimals: half a unit is a thousandth of a pixel of an image of 20,000."""
EMPTY = "no objects"
"""The text for people of a label without a box."""


class Box(NamedTuple):
    """One object. Coordinates are shares of the displayed image, from its top left corner.

    Attributes:
        name: of the class.
        x1: left edge, in [0, 1).
        y1: top edge, in [0, 1).
        x2: right edge, in (x1, 1].
        y2: bottom edge, in (y1, 1].
    """

    name: str
    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def whole(self) -> bool:
        """Whether the box lies within the image and has an area; False for NaN."""
        return 0 <= self.x1 < self.x2 <= 1 and 0 <= self.y1 < self.y2 <= 1


def rounded(box: Box) -> Box:
    """Return the box with coordinates of `DECIMALS` decimals, which its stored text has."""
    # adding 0.0 turns -0.0 into 0.0, so that equal boxes have equal texts
    return Box(box.name, *(round(share, DECIMALS) + 0.0 for share in box[1:]))


def boxes(drawn: Iterable[Box]) -> tuple[Box, ...]:
    """Return boxes as the value of a label: with rounded coordinates, in order.

    Raises:
        BadRequest: a box has no area once it is rounded, or is not within the image.
    """
    value = sorted(map(rounded, drawn))
    for box in value:
        if not box.whole:
            raise BadRequest(
                f"the box {[*box]} has no area within the image: it needs 0 <= x1 < x2 <= 1 and "
                "0 <= y1 < y2 <= 1"
            )
    return tuple(value)


def in_words(counts: Mapping[str, int]) -> str:
    """Return numbers of objects by class, such as ``2 × cat, 1 × dog``, or `EMPTY`."""
    return ", ".join(f"{counts[name]} × {name}" for name in sorted(counts)) or EMPTY


class Boxes:
    """Implements `octospoon.domain.task_types.task_type.LabelForm`: the text is a JSON list in order."""

    def read(self, stored: str) -> tuple[Box, ...]:
        """Return the boxes that a text stores.

        Raises:
            BadRequest: the text is not a JSON list of ["class", x1, y1, x2, y2], or a box has no area.
        """
        try:
            listed = json.loads(stored)
        except (ValueError, RecursionError):
            listed = None
        if not isinstance(listed, list) or not all(_is_box(item) for item in listed):
            raise BadRequest(
                f'{stored[:100]!r} is no label with boxes: it must be a JSON list of ["class",x1,y1,x2,y2]'
            )
        return boxes(Box(name, *map(float, shares)) for name, *shares in listed)

    def write(self, value: tuple[Box, ...]) -> str:
        """Return the boxes as a JSON list in order, without white space.

        Raises:
            BadRequest: see `boxes`.
        """
        return json.dumps([[*box] for box in boxes(value)], ensure_ascii=False, separators=(",", ":"))

    def classes(self, value: tuple[Box, ...]) -> tuple[str, ...]:
        """Return the classes in alphabetical order."""
        return tuple(sorted({box.name for box in value}))

    def renamed(self, value: tuple[Box, ...], name: Callable[[str], str | None]) -> tuple[Box, ...] | None:
        """Return the boxes of the classes that count, under their new names.

        An image whose classes are all retired has none of the present objects, which is a label too.
        """
        named = (box._replace(name=new) for box in value if (new := name(box.name)) is not None)
        return tuple(sorted(named))

    def text(self, value: tuple[Box, ...]) -> str:
        """Return how many objects of each class there are, such as ``2 × cat, 1 × dog``, or `EMPTY`."""
        return in_words(Counter(box.name for box in value))


def _is_box(item: object) -> bool:
    """Return True for a name and four finite numbers."""
    if not isinstance(item, list) or len(item) != 5 or not isinstance(item[0], str):
        return False
    return all(isinstance(x, int | float) and not isinstance(x, bool) and _finite(x) for x in item[1:])


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer that no float can hold
        return False
