"""The predictions of a model with one sigmoid per class: its uncertainty, and the classes annotators see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.labelling import class_translation
from octospoon.domain.pool.images import Uncertainty
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.task_type import Predicted
from octospoon.domain.uncertainty import checked, normalised_entropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


THRESHOLD = 0.5
"""A class is predicted at this probability or above."""


def doubts(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the uncertainty of each image, float64 [N] in [0, 1).

    It is the expected number of wrong decisions, sum(min(p, 1 - p)), divided by 1 plus the expected number of
    classes, sum(p). A sum or a mean alone favours images with many classes, because each class that is
    present adds some doubt. So does the least certain class. The measurements are in
    ``docs/explanation/several-classes.md``.

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    wide = checked(probabilities).astype(np.float64)
    finite = np.isfinite(wide).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"row {int(np.flatnonzero(~finite)[0])} of the probabilities is not finite: score that image "
            "again with a sound model, or leave its row out"
        )
    errors: npt.NDArray[np.float64] = np.minimum(wide, 1.0 - wide).sum(axis=1) / (1.0 + wide.sum(axis=1))
    return errors


def outcomes(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return two outcomes whose margin score is that of `doubts`, float64 [N, 2], likelier first.

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    half = doubts(probabilities) / 2
    return np.column_stack([1.0 - half, half])


def uncertainties(probabilities: npt.NDArray[np.floating]) -> list[Uncertainty]:
    """Return every uncertainty score of each image: those of `outcomes`.

    `top_class` and `confidence` are the most probable class and its probability.

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    pairs = outcomes(probabilities)
    entropy, top = normalised_entropy(pairs).tolist(), probabilities.argmax(axis=1).tolist()
    return [
        Uncertainty(
            least_confidence=1.0 - sure,
            margin=1.0 - (sure - other),
            entropy=entropy[i],
            top_class=top[i],
            confidence=float(probabilities[i, top[i]]),
        )
        for i, (sure, other) in enumerate(pairs.tolist())
    ]


def predicted(probabilities: npt.NDArray[np.floating], classes: Sequence[str]) -> list[Predicted]:
    """Return the classes at or above THRESHOLD, and the certainty of the least certain class.

    Args:
        probabilities: float [N, C].
        classes: C class names.
    """
    form, sure = ClassNames(), np.maximum(probabilities, 1 - probabilities).min(axis=1).tolist()
    present = [np.flatnonzero(row >= THRESHOLD).tolist() for row in probabilities]
    return [
        Predicted(form.write(frozenset(classes[i] for i in positions)), confidence)
        for positions, confidence in zip(present, sure, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Translation(class_translation.Translation):
    """The translation of classes that do not exclude each other."""

    def __call__(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return probabilities of the project's classes: of merged ones, that any is present.

        Args:
            probabilities: float [N, B] of the model.

        Returns:
            float [N, C]; classes that were merged count as independent.
        """
        if self.same:
            return probabilities
        return self.any_present(probabilities)


def translation(known: class_translation.Translation) -> Translation:
    """Return the translation to the same classes, for independent probabilities."""
    return Translation(known.names, known.columns)
