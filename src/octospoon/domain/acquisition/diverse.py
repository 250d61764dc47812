"""Choose images that score high and differ from each other: cluster the best and take one of each cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition.kmeans import kmeans
from octospoon.domain.acquisition.strategy import Candidates, highest, in_order_of_id

if TYPE_CHECKING:
    import numpy.typing as npt

FACTOR = 10
"""So many candidates for each image are clustered."""


def diverse(pool: Candidates, scores: npt.NDArray[np.float64], n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return min(n, N) positions, one from each cluster of the pool, highest scores first.

    Within a cluster, the image with the largest score / (1 + d / mean(d)) is taken; d is its squared distance
    from the centre. This prefers a high score and avoids outliers. If clusters are empty, the images with the
    next highest scores fill the batch.

    Args:
        pool: N candidates with embeddings.
        scores: float64 [N], not negative.
        n: number of images to choose.
        seed: fixes the clusters.

    Raises:
        ValueError: embeddings are missing or not finite.
    """
    if not len(pool.ids):
        return np.empty(0, np.int64)
    # k-means depends on the order of its rows; sorting by id makes the choice independent of the pool's order
    order = in_order_of_id(pool.ids)
    near, scores = pool.take(order), scores[order]
    clusters = kmeans(near.embedded(), n, seed)
    value = scores / (1.0 + clusters.distance / max(clusters.distance.mean(), 1e-12))
    best = [members[np.argmax(value[members])] for members in clusters.members() if len(members)]
    chosen = np.array(best, np.int64)
    rest = np.setdiff1d(np.arange(len(order)), chosen)
    fill = rest[highest(scores[rest], [near.ids[i] for i in rest], n - len(chosen))]
    chosen = np.concatenate([chosen, fill])
    return order[chosen[highest(scores[chosen], [near.ids[i] for i in chosen], n)]]
