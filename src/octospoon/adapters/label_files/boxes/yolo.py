"""YOLO's text files of boxes: a line for each, with the number of its class, its centre and its size."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from octospoon.adapters.label_files.drawn import Drawn, DrawnBox, number
from octospoon.adapters.label_files.rows import lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from octospoon.domain.task_types.detection.label import Box

OTHER_SHAPE = "lines that are no box: a class, the centre and the size, which are five numbers"
DESCRIPTION = "data.yaml"
"""The file that describes a set."""
IMAGES, LABELS = "images", "labels"
"""The folders of a set. Programs find the file of an image's boxes by replacing the first by the second."""
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


def text_of(boxes: Iterable[Box], classes: Sequence[str]) -> str:
    """Return the file of an image's boxes, which are in shares of the image. It is empty for no objects."""
    return "".join(f"{line}\n" for line in _lines(boxes, classes))


def _lines(boxes: Iterable[Box], classes: Sequence[str]) -> Iterator[str]:
    for box in boxes:
        shares = ((box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, box.x2 - box.x1, box.y2 - box.y1)
        yield " ".join([str(classes.index(box.name)), *(f"{share:.8f}" for share in shares)])


def description_of(classes: Sequence[str], parts: Iterable[str], path: str = "") -> str:
    """Return the description of a set; a JSON string is one of YAML too.

    Args:
        classes: the class names, in the order of their numbers.
        parts: the folders of images below ``images``.
        path: of the set; empty for the folder of the description.
    """
    begin = [f"path: {json.dumps(path)}"] if path else []
    names = [f"  {i}: {json.dumps(name, ensure_ascii=False)}" for i, name in enumerate(classes)]
    return "\n".join([*begin, *(f"{part}: {IMAGES}/{part}" for part in parts), "names:", *names, ""])
