"""Margin, then diversity: of the FACTOR·n smallest margins, one image from each of n k-means clusters.

Clustering uncertain images on frozen embeddings (Zhdanov 2019, arXiv 1901.05954; arXiv 2401.14555) was the
best strategy on all four learning curves that this project measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition import margin
from octospoon.domain.acquisition.kmeans import kmeans
from octospoon.domain.acquisition.strategy import Candidates, highest, in_order_of_id

if TYPE_CHECKING:
    import numpy.typing as npt

FACTOR = 10

score = margin.score


def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return min(n, N) positions, of each cluster one, smallest margins first.

    Of a cluster, that is the image whose score, divided by one plus its squared distance from the centre over
    the mean of such distances, is largest: uncertain, and no outlier.

    Raises:
        ValueError: probabilities or embeddings are missing or not finite.
    """
    uncertain = margin.select(pool, FACTOR * n, seed)
    uncertain = uncertain[in_order_of_id([pool.ids[i] for i in uncertain])]
    if not len(uncertain):
        return uncertain
    near = pool.take(uncertain)
    scores, clusters = score(near.predicted()), kmeans(near.embedded(), n, seed)
    worth = scores / (1.0 + clusters.distance / max(clusters.distance.mean(), 1e-12))
    best = [m[np.argmax(worth[m])] for m in clusters.members() if len(m)]
    chosen = np.array(best, np.int64)
    rest = np.setdiff1d(np.arange(len(uncertain)), chosen)
    fill = rest[highest(scores[rest], [near.ids[i] for i in rest], n - len(chosen))]
    chosen = np.concatenate([chosen, fill])
    return uncertain[chosen[highest(scores[chosen], [near.ids[i] for i in chosen], n)]]
