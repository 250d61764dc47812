"""Translate the predictions of a detector to the classes that the project has now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.labelling import class_translation
from octospoon.domain.task_types.detection.geometry import overlaps
from octospoon.domain.task_types.detection.predictions import COORDINATES

if TYPE_CHECKING:
    import numpy.typing as npt


OVERLAP = 0.6
"""Two boxes that overlap more are one object, as in the suppression inside of model files."""


@dataclass(frozen=True, slots=True)
class Translation(class_translation.Translation):
    """The translation of a detector's classes."""

    def __call__(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return predictions of the project's classes.

        The score of merged classes is that of any of them, if they are independent. A model suppresses boxes
        of each class by themselves, so merged classes may have several boxes of one object: the one with the
        highest score is kept. A row whose classes are all retired becomes unused.

        Args:
            probabilities: float [N, K, 4 + B] of the model.

        Returns:
            float [N, K, 4 + C].
        """
        if self.same:
            return probabilities
        boxes, scores = probabilities[..., :COORDINATES], probabilities[..., COORDINATES:]
        present = self.any_present(scores)
        for position in range(len(self.names)):
            if self.columns.count(position) > 1:
                merged = present[..., position]
                for image in np.flatnonzero((merged > 0).sum(axis=1) > 1).tolist():
                    merged[image, _suppressed(boxes[image], merged[image])] = 0
        used = present.max(axis=2, initial=0, keepdims=True) > 0
        return np.concatenate([np.where(used, boxes, 0), present], axis=2)


def translation(known: class_translation.Translation) -> Translation:
    """Return the translation to the same classes, for the scores of boxes."""
    return Translation(known.names, known.columns)


def _suppressed(boxes: npt.NDArray[np.floating], scores: npt.NDArray[np.floating]) -> list[int]:
    """Return the rows of boxes that a better box of the same class covers.

    Args:
        boxes: float [K, 4].
        scores: float [K], of one class; 0 for rows without it.
    """
    rows = np.argsort(-scores, kind="stable")[: int((scores > 0).sum())]
    covers = overlaps(boxes[rows], boxes[rows]) > OVERLAP
    kept: list[int] = []
    dropped: list[int] = []
    for at, row in enumerate(rows.tolist()):
        if covers[at, kept].any():
            dropped.append(row)
        else:
            kept.append(at)
    return dropped
