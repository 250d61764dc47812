"""Margin, then diversity: cluster the FACTOR·n smallest margins and take one image from each cluster.

Zhdanov 2019, arXiv 1901.05954, and arXiv 2401.14555 cluster uncertain images on frozen embeddings in this
way. It was the best strategy on all four learning curves that this project measured. If the candidates come
with the numbers of labels of each class, part of the batch looks for rare classes, see `rare_classes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.acquisition import margin, rare_classes
from octospoon.domain.acquisition.diverse import FACTOR, diverse

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.acquisition.strategy import Candidates

score = margin.score


def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return min(n, N) positions, one from each cluster, smallest margins first.

    Args:
        pool: N candidates with probabilities and embeddings.
        n: number of images to choose.
        seed: fixes the clusters.

    Raises:
        ValueError: probabilities or embeddings are missing or not finite.
    """
    if pool.labels is not None:
        return rare_classes.select(pool, n, seed)
    uncertain = margin.select(pool, FACTOR * n, seed)
    near = pool.take(uncertain)
    return uncertain[diverse(near, score(near.predicted()), n, seed)] if len(uncertain) else uncertain
