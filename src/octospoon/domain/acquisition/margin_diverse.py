"""Margin, then diversity: cluster the FACTOR·n smallest margins and take one image from each cluster.

Zhdanov 2019, arXiv 1901.05954, and arXiv 2401.14555 cluster uncertain images on frozen embeddings in this
way. It was the best strategy on all four learning curves that this project measured.
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
    """Return min(n, N) positions, one from each cluster, smallest margins first.

    Within a cluster, the image with the largest score / (1 + d / mean(d)) is taken; d is its squared distance
    from the centre. This prefers an uncertain image and avoids outliers. If clusters are empty, the images
    with the next highest scores fill the batch.

    Args:
        pool: N candidates with probabilities and embeddings.
        n: number of images to choose.
        seed: fixes the clusters.

    Raises:
        ValueError: probabilities or embeddings are missing or not finite.
    """
    uncertain = margin.select(pool, FACTOR * n, seed)
    uncertain = uncertain[in_order_of_id([pool.ids[i] for i in uncertain])]
    if not len(uncertain):
        return uncertain
    near = pool.take(uncertain)
    scores, clusters = score(near.predicted()), kmeans(near.embedded(), n, seed)
    value = scores / (1.0 + clusters.distance / max(clusters.distance.mean(), 1e-12))
    best = [members[np.argmax(value[members])] for members in clusters.members() if len(members)]
    chosen = np.array(best, np.int64)
    rest = np.setdiff1d(np.arange(len(uncertain)), chosen)
    fill = rest[highest(scores[rest], [near.ids[i] for i in rest], n - len(chosen))]
    chosen = np.concatenate([chosen, fill])
    return uncertain[chosen[highest(scores[chosen], [near.ids[i] for i in chosen], n)]]
