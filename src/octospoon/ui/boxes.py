"""The boxes of labels and predictions, as the browser draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from octospoon.domain.pool.boxes import classes_of
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.pool.images import PoolRow
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
