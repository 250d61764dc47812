"""What the contract test needs of each task type, besides the type itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from hypothesis import strategies as st

from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.classification.label import ClassName
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
        certain: returns the probabilities of a model that is certain of a value, float32 [C].
        unsure: the probabilities of a model that knows nothing, float32 [C].
    """

    task_type: TaskType
    form: LabelForm[V]
    every: tuple[V, ...]
    certain: Callable[[V], npt.NDArray[np.float32]]
    unsure: npt.NDArray[np.float32]

    @property
    def values(self) -> st.SearchStrategy[V]:
        """Any value."""
        return st.sampled_from(self.every)


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
}
