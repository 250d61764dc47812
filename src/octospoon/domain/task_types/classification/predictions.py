"""The predictions of a classifier: its uncertainty, and the class that annotators see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool.images import Uncertainty
from octospoon.domain.task_types.task_type import Predicted
from octospoon.domain.uncertainty import chunks, normalised_entropy, two_largest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def uncertainties(probabilities: npt.NDArray[np.floating]) -> list[Uncertainty]:
    """Return every uncertainty score of each image.

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    pairs = [two_largest(chunk.columns) for chunk in chunks(probabilities)]
    if not pairs:
        return []
    first, second = (np.concatenate(parts).tolist() for parts in zip(*pairs, strict=True))
    entropy = normalised_entropy(probabilities).tolist()
    top = probabilities.argmax(axis=1).tolist()
    return [
        Uncertainty(
            least_confidence=1.0 - first[i],
            margin=1.0 - (first[i] - second[i]),
            entropy=entropy[i],
            top_class=top[i],
            confidence=first[i],
        )
        for i in range(len(probabilities))
    ]


def predicted(probabilities: npt.NDArray[np.floating], classes: Sequence[str]) -> list[Predicted]:
    """Return the most probable class of each image, the first of equals, and its probability.

    Args:
        probabilities: float [N, C].
        classes: C class names, at least one.
    """
    best = probabilities.argmax(axis=1).tolist()
    return [Predicted(classes[top], float(row[top])) for top, row in zip(best, probabilities, strict=True)]
