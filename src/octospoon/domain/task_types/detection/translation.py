"""Translate the predictions of a detector to the classes that the project has now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.detection.predictions import COORDINATES

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.labelling import class_translation


@dataclass(frozen=True, slots=True)
class Translation:
    """Implements `octospoon.domain.task_types.task_type.Translation`.

    Attributes:
        names: C names: the project's classes that the model knows, in the project's order.
        columns: for each of the model's B classes its position in `names`; -1 for a retired class.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...]

    def __call__(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return predictions of the project's classes.

        The score of merged classes is that of any of them, if they are independent. A row whose classes are
        all retired becomes unused.

        Args:
            probabilities: float [N, K, 4 + B] of the model.

        Returns:
            float [N, K, 4 + C].
        """
        if self.columns == tuple(range(len(self.names))):
            return probabilities
        scores = probabilities[..., COORDINATES:]
        absent = np.ones((*probabilities.shape[:2], len(self.names)), probabilities.dtype)
        for column, position in enumerate(self.columns):
            if position >= 0:
                absent[..., position] *= 1 - scores[..., column]
        present = 1 - absent
        used = present.max(axis=2, initial=0, keepdims=True) > 0
        return np.concatenate([np.where(used, probabilities[..., :COORDINATES], 0), present], axis=2)


def translation(known: class_translation.Translation) -> Translation:
    """Return the translation to the same classes, for the scores of boxes."""
    return Translation(known.names, known.columns)
