"""Margin: how close the two most probable classes are (Scheffer et al. 2001; arXiv 2210.03822)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.acquisition.scores import top_two

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def score(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return 1 - (p(1) - p(2)), float64 [N] in [0, 1], for float [N, C].

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    top = top_two(probabilities)
    return 1.0 - (top.first - top.second)
