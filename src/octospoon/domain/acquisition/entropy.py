"""Entropy: Shannon entropy divided by its maximum (Settles 2009, Active Learning Literature Survey, 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.uncertainty import normalised_entropy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def score(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return -sum p log p / log C of each row, float64 [N] in [0, 1].

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    return normalised_entropy(probabilities)
