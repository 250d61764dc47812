"""The boxes that a row of a file gives an image, in every form that files have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.label_files.boxes import regions
from octospoon.adapters.label_files.drawn import Placed, placed, size_of
from octospoon.adapters.label_studio.interface import FROM_NAME
from octospoon.adapters.label_studio.rectangles import MOST_BOXES
from octospoon.cli.extras import require
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.detection.label import Boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.adapters.label_files.drawn import ImageSize
    from octospoon.adapters.label_files.rows import LabelRow
    from octospoon.domain.task_types.detection.label import Box

OTHER_BOXES = "with two different lists of boxes in the source: correct it there"
TOO_MANY = f"with more than {MOST_BOXES:,} boxes"
NO_BOXES = (
    "rows without boxes: name the columns xmin, ymin, xmax and ymax, or give the whole label in one cell, as "
    "octospoon or Label Studio exports it"
)


def boxes_of(row: LabelRow, file: str | None) -> Placed:
    """Return the boxes of a row as shares of the image as it is displayed.

    A row has them in the file's own unit, or as the text of a label, or as Label Studio's list of rectangles.

    Args:
        row: without a problem.
        file: its image on this disk; None if it is not there.
    """
    if row.drawn is not None:
        return placed(row.drawn, _size(file) if file and row.drawn.pixels else None)
    left_out = list(row.left_out)
    try:
        return Placed(list(Boxes().read(row.label)), left_out)
    except BadRequest:
        answer = _of_list(row)
    if answer.label is None:
        return Placed([], [*left_out, (answer.problem, row.place)])
    return Placed(list(Boxes().read(answer.label)), [*left_out, *answer.left_out])


def _size(file: str) -> ImageSize | None:
    require("pictures", "octospoon labels import")
    return size_of(Path(file))


def too_many(boxes: Sequence[Box]) -> str:
    """Return that an image has more boxes than a label may have; empty if it has not."""
    return TOO_MANY if len(boxes) > MOST_BOXES else ""


def _of_list(row: LabelRow) -> regions.Read:
    """Return the boxes of a text with a list of rectangles, as Label Studio's ``CSV`` has it."""
    try:
        value = json.loads(row.label)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list):
        return regions.Read(None, NO_BOXES)
    return regions.read(regions.flat(value), FROM_NAME, row.place)
