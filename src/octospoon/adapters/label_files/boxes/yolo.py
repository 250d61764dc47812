"""Read YOLO's text files of boxes: a line for each, with the number of its class, its centre and its size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from octospoon.adapters.label_files.drawn import Drawn, DrawnBox, number
from octospoon.adapters.label_files.rows import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OTHER_SHAPE = "lines that are no box: a class, the centre and the size, which are five numbers"
_NUMBERS = 5


def boxes_of(file: Path, name: str, classes: Mapping[int, str]) -> Drawn:
    """Return the boxes of a file of labels, in shares of the image.

    Args:
        file: its path.
        name: for people.
        classes: the classes by their numbers.

    Raises:
        BadRequest: the file cannot be read, or is not text in UTF-8.
    """
    return Drawn(tuple(_boxes(file, name, classes)))


def _boxes(file: Path, name: str, classes: Mapping[int, str]) -> Iterator[DrawnBox]:
    for count, line in enumerate(lines(file), 1):
        if not line.strip():
            continue
        place, (first, *rest) = f"{name}, line {count}", line.split()
        known = classes.get(int(first)) if first.isdecimal() else None
        if known is None:
            problem = f"with class {first[:50]}, which is none of the {len(classes)} classes"
            yield DrawnBox(place, "", (math.nan,) * 4, problem)
        elif len(rest) + 1 != _NUMBERS:
            yield DrawnBox(place, known, (math.nan,) * 4, OTHER_SHAPE)
        else:
            x, y, width, height = map(number, rest)
            yield DrawnBox(place, known, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
