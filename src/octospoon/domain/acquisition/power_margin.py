"""Power margin: draw images without replacement, with weights score^BETA of their margin scores.

This is stochastic batch acquisition (Kirsch et al., arXiv 2106.12059). The n highest values of
BETA·log(score) + Gumbel noise are such a draw. Chance keeps near-copies from filling a batch, without a look
at the embeddings.
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
    """Return min(n, N) positions in the order of the draw.

    Args:
        pool: N candidates with probabilities.
        n: number of images to choose.
        seed: fixes the draw.

    Raises:
        ValueError: there are no probabilities, or they contain NaN or infinity.
    """
    # The noise is a hash of the id and the seed, so a draw can be repeated on any machine. _TINY keeps the
    # logarithms finite.
    weights = np.log(np.maximum(score(pool.predicted()), _TINY))
    uniform = np.array([unit_hash("gumbel", key, seed) for key in pool.ids])
    gumbel = -np.log(-np.log(uniform + _TINY))
    return highest(BETA * weights + gumbel, pool.ids, n)
