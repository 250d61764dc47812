"""Power margin: a draw without replacement, each image weighted by its margin score to the power BETA.

Stochastic batch acquisition (Kirsch et al., arXiv 2106.12059): the n highest of BETA·log(score) + Gumbel
noise are such a draw, so that near-copies no longer fill a batch, without looking at embeddings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition import margin
from octospoon.domain.acquisition.strategy import Candidates, highest
from octospoon.domain.pool.keys import unit_hash

if TYPE_CHECKING:
    import numpy.typing as npt

BETA = 4.0
_TINY = 2.0**-54

score = margin.score


def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return min(n, N) positions, the first draws first; the seed fixes the draw.

    Raises:
        ValueError: there are no probabilities, or they hold NaN or infinity.
    """
    weights = np.log(np.maximum(score(pool.predicted()), _TINY))
    uniform = np.array([unit_hash("gumbel", key, seed) for key in pool.ids])
    gumbel = -np.log(-np.log(uniform + _TINY))
    return highest(BETA * weights + gumbel, pool.ids, n)
