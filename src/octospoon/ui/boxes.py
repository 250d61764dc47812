"""The boxes of labels and predictions, as the browser draws them."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from octospoon.domain.pool.boxes import classes_of
from octospoon.domain.task_types.detection.geometry import overlaps
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.task_types.detection.matching import assigned
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.detection.label import Box
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.runtime.wiring.storage import Storage


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
        names, others = (_names(history, task_type.labels.classes(text)) for text in (label, predicted))
        return {"missed": sorted(names - others), "added": sorted(others - names), "boxes": [], "found": []}
    true, given = Boxes().read(label), Boxes().read(predicted)
    detected, right = _matched(true, given, scores)
    missed = [box.name for box, known in zip(true, detected, strict=True) if not known]
    added = [box.name for box, known in zip(given, right, strict=True) if not known]
    shown = boxes(task_type, predicted, history)
    return {
        "missed": sorted(_names(history, missed)),
        "added": sorted(_names(history, added)),
        "boxes": [{**box, "right": known} for box, known in zip(shown, right, strict=True)],
        "found": detected,
    }


def _matched(
    true: Sequence[Box], given: Sequence[Box], scores: Sequence[float]
) -> tuple[list[bool], list[bool]]:
    """Return which true boxes are found, and which predicted ones are hits, at an overlap of one half."""
    detected, right = [False] * len(true), [False] * len(given)
    for name in {box.name for box in given}:
        objects = [at for at, box in enumerate(true) if box.name == name]
        drawn = sorted((at for at, box in enumerate(given) if box.name == name), key=lambda at: -scores[at])
        theirs = np.array([true[at][1:] for at in objects], float).reshape(-1, 4)
        ours = np.array([given[at][1:] for at in drawn], float).reshape(-1, 4)
        for at, taken in zip(drawn, assigned(overlaps(ours, theirs))[:, 0].tolist(), strict=True):
            if taken >= 0:
                right[at] = detected[objects[taken]] = True
    return detected, right


def _names(history: ClassHistory, classes: Iterable[str]) -> set[str]:
    return {history.shown(name) for name in classes}


class Guesses:
    """Makes predictions readable.

    Args:
        task_type: the kind of label.
        history: the project's classes, whose present names are shown.
    """

    def __init__(self, task_type: TaskType, history: ClassHistory) -> None:
        self._task_type, self._history = task_type, history
        self._translation = cache(partial(task_type.translation, history))

    def __call__(
        self, probabilities: npt.NDArray[np.float32] | None, classes: tuple[str, ...]
    ) -> Guess | None:
        """Return the prediction of an image; None without one, or if all its classes are retired.

        Args:
            probabilities: float32 [C], or boxes float32 [K, 4 + C]; None for none.
            classes: names of the classes of the model that made them.
        """
        if probabilities is None or classes_of(probabilities) != len(classes):
            return None
        translated = self._translation(classes)
        if not translated.names:
            return None
        (best,) = self._task_type.predicted(translated(probabilities[np.newaxis]), translated.names)
        shown = self._task_type.labels.shown(best.label, self._history)
        return Guess(shown, best.confidence, boxes(self._task_type, best.label, self._history))


def of_images(
    storage: Storage,
    history: ClassHistory,
    keys: Sequence[str],
    predicted: Callable[[PoolRow], Guess | None],
) -> dict[str, dict[str, Any]]:
    """Return the boxes of labels and predictions by key; nothing where the task type has none.

    Args:
        storage: the tables.
        history: the project's classes.
        keys: of images.
        predicted: gives the prediction of a row.
    """
    task_type = storage.task_type
    if task_type.name != TaskTypeName.DETECTION:
        return {}
    labels = {(image.key, image.etag): image.label for image in storage.labels.labelled()}
    shown = {}
    for key, row in storage.pool.rows(keys).items():
        label = labels.get((key, row.etag))
        drawn = boxes(task_type, label, history) if label else []
        shown[key] = {"boxes": drawn, "predicted": predicted(row)}
    return shown
