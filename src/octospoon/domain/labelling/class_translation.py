"""Translate the probabilities of a model to the classes that the project has now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.classes import ClassHistory


@dataclass(frozen=True, slots=True)
class Translation:
    """The translation of a model's classes into the project's classes.

    Attributes:
        names: C names: the project's classes that the model knows, in the project's order.
        columns: for each of the model's B classes its position in `names`; -1 for a retired class.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...]

    @property
    def same(self) -> bool:
        """Whether the project has the model's classes, in the same order."""
        return self.columns == tuple(range(len(self.names)))

    def any_present(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the probability that any of the merged classes is present, if they are independent.

        Args:
            scores: float [..., B] of the model.

        Returns:
            float [..., C].
        """
        absent = np.ones((*scores.shape[:-1], len(self.names)), scores.dtype)
        for column, position in enumerate(self.columns):
            if position >= 0:
                absent[..., position] *= 1 - scores[..., column]
        present: npt.NDArray[np.floating] = 1 - absent
        return present

    def __call__(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return probabilities of the project's classes: merged ones added, retired ones left out.

        Args:
            probabilities: float [N, B] of the model.

        Returns:
            float [N, C] with rows that sum to one. A row with no probability left is uniform.
        """
        if self.same:
            return probabilities
        new = np.zeros((len(probabilities), len(self.names)), probabilities.dtype)
        for column, position in enumerate(self.columns):
            if position >= 0:
                new[:, position] += probabilities[:, column]
        if -1 in self.columns and self.names:
            total = new.sum(axis=1, keepdims=True)
            new = np.where(total > 0, new / np.where(total > 0, total, 1), 1 / len(self.names))
        return new.astype(probabilities.dtype)


def translation(history: ClassHistory, model: Sequence[str]) -> Translation:
    """Return how a model's classes become the project's.

    Args:
        history: the project's classes.
        model: names of the model's B classes, in order, from the time of its training.
    """
    now = [history.current(name) for name in model]
    order = [name for name in history.names if name in now]
    # a model may know classes that the project never had: they keep their order behind the others
    order += [name for name in dict.fromkeys(now) if name is not None and name not in order]
    return Translation(tuple(order), tuple(-1 if name is None else order.index(name) for name in now))
