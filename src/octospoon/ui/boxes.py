"""The boxes of labels and predictions, as the browser draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from octospoon.domain.pool.boxes import classes_of
from octospoon.domain.task_types.detection.geometry import overlaps
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.task_types.detection.matching import assigned
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.detection.label import Box
    from octospoon.domain.task_types.task_type import TaskType


class Guess(NamedTuple):
    """A prediction as people see it: its text, its confidence, and its boxes."""

    text: str
    confidence: float
    boxes: list[dict[str, Any]]


def boxes(task_type: TaskType, label: str, history: ClassHistory) -> list[dict[str, Any]]:
    """Return the boxes of a label, or of a prediction in the form of one; none for other task types.

    Args:
        task_type: the kind of label.
        label: in its stored form.
        history: the project's classes, whose present names are shown.

    Returns:
        Each with ``name``, and ``x1``, ``y1``, ``x2``, ``y2`` as shares of the displayed image.
    """
    if task_type.name != TaskTypeName.DETECTION:
        return []
    return [{**box._asdict(), "name": history.shown(box.name)} for box in Boxes().read(label)]


def compared(
    task_type: TaskType, label: str, predicted: str, scores: Sequence[float], history: ClassHistory
) -> dict[str, Any]:
    """Return how a prediction differs from a label.

    Args:
        task_type: the kind of label, with several classes or boxes.
        label: in its stored form.
        predicted: in the form of a label.
        scores: of the parts of the prediction.
        history: the project's classes, whose present names are shown.

    Returns:
        ``missed`` and ``added``: the classes with a missed or a false part. For boxes, ``boxes`` has the
        predicted ones, each with ``right``; ``found`` says of each box of the label whether one finds it.
    """
    if task_type.name != TaskTypeName.DETECTION:
        names, others = (_names(history, task_type.labels.classes(each)) for each in (label, predicted))
        return {"missed": sorted(names - others), "added": sorted(others - names), "boxes": [], "found": []}
    true, given = Boxes().read(label), Boxes().read(predicted)
    found, right = _matched(true, given, scores)
    missed = [box.name for box, known in zip(true, found, strict=True) if not known]
    added = [box.name for box, known in zip(given, right, strict=True) if not known]
    shown = boxes(task_type, predicted, history)
    return {
        "missed": sorted(_names(history, missed)),
        "added": sorted(_names(history, added)),
        "boxes": [{**box, "right": known} for box, known in zip(shown, right, strict=True)],
        "found": found,
    }


def _matched(
    true: Sequence[Box], given: Sequence[Box], scores: Sequence[float]
) -> tuple[list[bool], list[bool]]:
    """Return which true boxes are found, and which predicted ones are hits, at an overlap of one half."""
    found, right = [False] * len(true), [False] * len(given)
    for name in {box.name for box in given}:
        objects = [at for at, box in enumerate(true) if box.name == name]
        drawn = sorted((at for at, box in enumerate(given) if box.name == name), key=lambda at: -scores[at])
        theirs = np.array([true[at][1:] for at in objects], float).reshape(-1, 4)
        ours = np.array([given[at][1:] for at in drawn], float).reshape(-1, 4)
        for at, taken in zip(drawn, assigned(overlaps(ours, theirs))[:, 0].tolist(), strict=True):
            if taken >= 0:
                right[at] = found[objects[taken]] = True
    return found, right


def _names(history: ClassHistory, classes: Iterable[str]) -> set[str]:
    return {history.shown(name) for name in classes}


def guess(task_type: TaskType, history: ClassHistory, row: PoolRow, classes: Sequence[str]) -> Guess | None:
    """Return the prediction of a row; None without one, or if all its classes are retired.

    Args:
        task_type: the kind of label.
        history: the project's classes.
        row: of the pool.
        classes: names of the classes of the model that scored it.
    """
    if row.probabilities is None or classes_of(row.probabilities) != len(classes):
        return None
    translated = task_type.translation(history, classes)
    if not translated.names:
        return None
    (best,) = task_type.predicted(translated(row.probabilities[np.newaxis]), translated.names)
    shown = task_type.labels.shown(best.label, history)
    return Guess(shown, best.confidence, boxes(task_type, best.label, history))
