"""What the contract test needs of each task type, besides the type itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from hypothesis import strategies as st

from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.classification.label import ClassName
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes, boxes
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.task_types.multilabel.label import ClassNames

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from octospoon.domain.task_types.task_type import LabelForm, TaskType

V = TypeVar("V")
CLASSES = ("cat", "dog", "owl")
"""The classes of every case."""


@dataclass(frozen=True)
class Case(Generic[V]):
    """A task type under test.

    Attributes:
        task_type: the type.
        form: of its labels.
        every: all values, of classes among `CLASSES`.
        certain: returns the prediction of a model that is certain of a value, float32 [C], or [K, 4 + C].
        unsure: the prediction of a model that knows nothing.
        leading: number of columns before those of the classes.
    """

    task_type: TaskType
    form: LabelForm[V]
    every: tuple[V, ...]
    certain: Callable[[V], npt.NDArray[np.float32]]
    unsure: npt.NDArray[np.float32]
    leading: int = 0

    def reordered(self, rows: npt.NDArray[np.floating], order: list[int]) -> npt.NDArray[np.floating]:
        """Return predictions of other classes: each column of a class is that of another one."""
        columns = [*range(self.leading), *(self.leading + at for at in order)]
        return rows[..., columns]

    @property
    def values(self) -> st.SearchStrategy[V]:
        """Any value."""
        return st.sampled_from(self.every)


PLACES = (0.0, 0.125, 0.5, 0.5), (0.5, 0.5, 1.0, 0.75)


def _drawn(names: tuple[str | None, ...]) -> tuple[Box, ...]:
    """Return a box in each of `PLACES` that has a class."""
    return boxes(Box(name, *place) for name, place in zip(names, PLACES, strict=True) if name)


def _detected(value: tuple[Box, ...]) -> npt.NDArray[np.float32]:
    """Return a certain detection for each box, and unused rows for the other places."""
    rows = np.zeros((len(PLACES), 4 + len(CLASSES)), np.float32)
    for box in value:
        rows[PLACES.index(box[1:])] = [*box[1:], *_one_hot(box.name)]
    return rows


def _one_hot(name: str) -> npt.NDArray[np.float32]:
    return np.array([each == name for each in CLASSES], np.float32)


CASES = {
    "classification": Case(
        CLASSIFICATION,
        ClassName(),
        CLASSES,
        _one_hot,
        np.full(len(CLASSES), 1 / len(CLASSES), np.float32),
    ),
    "multilabel": Case(
        MULTILABEL,
        ClassNames(),
        tuple(frozenset(names) for count in range(4) for names in combinations(CLASSES, count)),
        lambda value: np.array([name in value for name in CLASSES], np.float32),
        np.full(len(CLASSES), 0.5, np.float32),
    ),
    "detection": Case(
        DETECTION,
        Boxes(),
        tuple(_drawn(names) for names in product((None, *CLASSES), repeat=len(PLACES))),
        _detected,
        np.array([[*place, 0.5, 0.5, 0.5] for place in PLACES], np.float32),
        leading=4,
    ),
}
