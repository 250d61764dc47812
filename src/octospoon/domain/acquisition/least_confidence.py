"""Least confidence: one minus the largest probability (Lewis and Gale 1994, arXiv cmp-lg/9407020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition.least import Largest
from octospoon.domain.acquisition.strategy import by_least
from octospoon.domain.uncertainty import chunks

if TYPE_CHECKING:
    import numpy.typing as npt


def score(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return one minus the largest probability of each row, float64 [N] in [0, 1 - 1/C].

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    scores = np.empty(len(probabilities))
    for chunk in chunks(probabilities):
        scores[chunk.rows] = chunk.largest
    return np.subtract(1.0, scores, out=scores)


select = by_least(Largest(), score)
