"""Read and write the results of annotations whose control is ``RectangleLabels``.

Label Studio stores a rectangle by its top left corner, width and height, in percent of the displayed image.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from octospoon.adapters.label_studio.interface import FROM_NAME, TO_NAME
from octospoon.domain.labelling.answers import (
    AMBIGUOUS_CLASS,
    BOX_WITHOUT_AREA,
    BOX_WITHOUT_CLASS,
    OTHER_CONTROL,
    ROTATED_BOX,
    SEVERAL_CLASSES,
    TOO_MANY_BOXES,
    UNKNOWN_CLASS,
    Answer,
    noted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.task_types.detection.label import Box

KIND = "rectanglelabels"
MOST_BOXES = 1000
"""The most boxes of one answer. Their stored text has about 60 bytes each, and a row holds 400 kB."""
_BYTES = 210_000
"""What the boxes of a reduced answer may take; a message to the queue holds 262,144 bytes in all."""
_NAME_LENGTH = 200
_PERCENT = 100.0
_SIDES = ("x", "y", "width", "height")


class _Skipped(NamedTuple):
    """Why a box is not in the label, a key of `PROBLEMS`."""

    problem: str


def read(result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
    """Return the boxes in the result of a submitted annotation, or why it is no label.

    An answer without any region means that the image shows no objects. Boxes are cut off at the edges of the
    image. Boxes that cannot be read, and what other controls have, are left out and noted. If nothing else is
    left, the answer does not count: what the annotator drew was not "no objects". A rotated box is an
    object too, and its upright frame would be another one, so its answer does not count.

    Args:
        result: the result as Label Studio stores it, or reduced by `reduced`.
        classes: the classes of the project, with their earlier names.
    """
    # `webhook` is packaged without numpy, which the package of the task type loads
    from octospoon.domain.task_types.detection.label import Boxes

    left_out: Counter[str] = Counter()
    drawn = []
    for region in result or ():
        if not _ours(region):
            left_out[OTHER_CONTROL] += _count(region)
            continue
        box = _read_box(region, classes)
        if isinstance(box, _Skipped):
            left_out[box.problem] += 1
        else:
            drawn.append(box)
    left_out[TOO_MANY_BOXES] += len(drawn) > MOST_BOXES
    for whole in (TOO_MANY_BOXES, ROTATED_BOX):
        if left_out[whole]:
            return Answer(None, whole)
    if left_out.total() and not drawn:
        return Answer(None, left_out.most_common(1)[0][0], left_out.total(), noted(left_out))
    return Answer(Boxes().write(tuple(drawn)), "", left_out.total(), noted(left_out))


def reduced(result: Sequence[Any] | None, shown: Mapping[str, str]) -> list[dict[str, Any]]:
    """Reduce a result to the places and classes of its boxes, and to how much of other kinds there is.

    Args:
        result: the result as Label Studio stores it.
        shown: the text that annotators saw, by the name that Label Studio stores; see `Interface.shown`.
    """
    kept: list[dict[str, Any]] = []
    others: Counter[str] = Counter()
    size = 0
    for region in result or ():
        if not _ours(region):
            others[_kind(region)] += _count(region)
            continue
        box = _reduced_box(region, shown)
        size += len(str(box))
        if size > _BYTES or len(kept) == MOST_BOXES:
            kept.append({"from_name": FROM_NAME, "to_name": TO_NAME, "type": KIND, "more": True})
            break
        kept.append(box)
    return kept + [{"from_name": "", "type": kind, "count": count} for kind, count in sorted(others.items())]


def written(label: str, stored: Mapping[str, str] | None) -> list[dict[str, Any]] | None:
    """Return the result of an annotation with a label; None if the interface lacks one of its classes.

    Args:
        label: in its stored form.
        stored: see `Control.result`.
    """
    from octospoon.domain.task_types.detection.label import Boxes

    drawn = Boxes().read(label)
    if stored is not None and not stored.keys() >= {box.name for box in drawn}:
        return None
    return [
        _region(f"box-{number}", box, box.name if stored is None else stored[box.name])
        for number, box in enumerate(drawn, 1)
    ]


def _region(identity: str, box: Box, name: str) -> dict[str, Any]:
    """Return a box as Label Studio stores it."""
    return {
        "id": identity,
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "type": KIND,
        "value": {
            "x": _PERCENT * box.x1,
            "y": _PERCENT * box.y1,
            "width": _PERCENT * (box.x2 - box.x1),
            "height": _PERCENT * (box.y2 - box.y1),
            "rotation": 0,
            KIND: [name],
        },
    }


def _read_box(region: Mapping[str, Any], classes: ClassHistory) -> Box | _Skipped:
    """Return the box of a region of our control, under the key of its class, or why it is skipped."""
    from octospoon.domain.task_types.detection.label import Box, rounded

    value = region.get("value")
    if region.get("more"):
        return _Skipped(TOO_MANY_BOXES)
    if not isinstance(value, dict):
        return _Skipped(BOX_WITHOUT_AREA)
    if _turned(value.get("rotation")) or _turned(region.get("image_rotation")):
        return _Skipped(ROTATED_BOX)
    name = _class(region, value, classes)
    if isinstance(name, _Skipped):
        return name
    place = [side / _PERCENT for key in _SIDES if _is_number(side := value.get(key))]
    if len(place) != len(_SIDES):
        return _Skipped(BOX_WITHOUT_AREA)
    x, y, width, height = place
    corners = (x, y, x + width, y + height)
    box = rounded(Box(name, *(min(max(corner, 0.0), 1.0) for corner in corners)))
    return box if box.whole else _Skipped(BOX_WITHOUT_AREA)


def _class(region: Mapping[str, Any], value: Mapping[str, Any], classes: ClassHistory) -> str | _Skipped:
    """Return the key of the class of a box, or why it has none."""
    names = _names(value)
    if len(names) != 1:
        return _Skipped(SEVERAL_CLASSES if names else BOX_WITHOUT_CLASS)
    seen = region.get("shown")
    owners = (classes.of(name) for name in {names[0], seen if isinstance(seen, str) else names[0]})
    keys = {owner.key for owner in owners if owner}
    if len(keys) != 1:
        return _Skipped(AMBIGUOUS_CLASS if keys else UNKNOWN_CLASS)
    return keys.pop()


def _reduced_box(region: Mapping[str, Any], shown: Mapping[str, str]) -> dict[str, Any]:
    place = region.get("value")
    if not isinstance(place, dict):
        return {"from_name": FROM_NAME, "to_name": TO_NAME, "type": KIND} | _more(region)
    names = [name[:_NAME_LENGTH] for name in _names(place)[:2]]
    kept: dict[str, Any] = {"from_name": FROM_NAME, "to_name": TO_NAME, "type": KIND}
    kept["value"] = {side: place[side] if _is_number(place.get(side)) else None for side in _SIDES} | {
        KIND: names
    }
    if _turned(place.get("rotation")) or _turned(region.get("image_rotation")):
        kept["value"]["rotation"] = 1
    if names and names[0] in shown:
        kept["shown"] = shown[names[0]][:_NAME_LENGTH]
    return kept


def _more(region: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mark of a reduced answer that had more boxes, if the region has it."""
    return {"more": True} if region.get("more") else {}


def _names(value: Mapping[str, Any]) -> list[str]:
    names = value.get(KIND)
    return [str(name) for name in names] if isinstance(names, list) else []


def _ours(region: object) -> bool:
    wanted = {"from_name": FROM_NAME, "to_name": TO_NAME, "type": KIND}
    return isinstance(region, dict) and all(region.get(name) == value for name, value in wanted.items())


def _kind(region: object) -> str:
    return str(region.get("type", ""))[:_NAME_LENGTH] if isinstance(region, dict) else ""


def _count(region: object) -> int:
    """Return how many regions one of another control stands for, which is more than one once reduced."""
    count = region.get("count") if isinstance(region, dict) else 1
    return count if isinstance(count, int) else 1


def _turned(rotation: object) -> bool:
    """Return whether an angle in degrees is not a whole turn, or no number."""
    return rotation is not None and not (_is_number(rotation) and rotation % 360 == 0)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
