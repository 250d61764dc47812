"""Margin: how close the two largest probabilities are (Scheffer et al. 2001; arXiv 2210.03822)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition.least import Gap
from octospoon.domain.acquisition.strategy import by_least
from octospoon.domain.uncertainty import chunks, two_largest

if TYPE_CHECKING:
    import numpy.typing as npt


def score(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return 1 - (p(1) - p(2)) of each row, float64 [N] in [0, 1]; p(1) and p(2) are the largest two.

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    scores = np.empty(len(probabilities))
    for chunk in chunks(probabilities):
        first, second = two_largest(chunk.columns)
        np.subtract(first, second, out=scores[chunk.rows], dtype=np.float64)
    return np.subtract(1.0, scores, out=scores)


select = by_least(Gap(), score)
