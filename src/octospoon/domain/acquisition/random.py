"""Random: draw images uniformly; the control that every other strategy must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition.strategy import Candidates, highest
from octospoon.domain.pool.keys import unit_hash

if TYPE_CHECKING:
    import numpy.typing as npt


def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return min(n, N) positions, int64, drawn uniformly without replacement; the seed fixes the draw."""
    numbers = np.array([unit_hash("random", key, seed) for key in pool.ids])
    return highest(numbers, pool.ids, n)
