"""TypiClust: take the most typical image of each cluster, for the first labels (arXiv 2202.02794)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition.kmeans import kmeans
from octospoon.domain.acquisition.strategy import Candidates, in_order_of_id

if TYPE_CHECKING:
    import numpy.typing as npt

NEIGHBOURS = 20
SMALLEST_CLUSTER = 5
_LARGEST = 2048


def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return min(n, N) positions: the most typical image of each of n clusters, largest cluster first.

    Clusters below SMALLEST_CLUSTER are mostly outliers, so they come last. Before them, the large clusters
    give their next typical images. This is for the first batch, so no cluster counts as labelled.

    Args:
        pool: N candidates with embeddings.
        n: number of images to choose.
        seed: fixes the clusters.

    Raises:
        ValueError: embeddings are missing or not finite.
    """
    # k-means depends on the order of its rows; sorting by id makes the choice independent of the pool's order
    order = in_order_of_id(pool.ids)
    points = pool.embedded()[order]
    clusters = sorted(kmeans(points, n, seed).members(), key=len, reverse=True)
    ranked = [rows[np.argsort(-typicality(points[rows]), kind="stable")] for rows in clusters if len(rows)]
    typical = _round_robin([rows for rows in ranked if len(rows) >= SMALLEST_CLUSTER])
    unusual = _round_robin([rows for rows in ranked if len(rows) < SMALLEST_CLUSTER])
    return order[np.array((typical + unusual)[:n], np.int64)]


def typicality(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the inverse mean distance to the min(20, N - 1) nearest others, float64 [N] (formula 1 there).

    Args:
        points: float64 [N, D], one cluster. If N > 2048, neighbours are searched among every k-th point only,
            which bounds the distance matrix.
    """
    others = points[:: -(-len(points) // _LARGEST)] if len(points) else points
    gaps = np.einsum("nd,nd->n", points, points)[:, np.newaxis] - 2.0 * (points @ others.T)
    distances = np.sqrt(np.maximum(gaps + np.einsum("nd,nd->n", others, others), 0.0))
    k = min(NEIGHBOURS, len(others) - 1)
    nearest = np.partition(distances, k, axis=1)[:, : k + 1].sum(axis=1) / max(k, 1)
    result: npt.NDArray[np.float64] = 1.0 / (nearest + 1e-12)
    return result


def _round_robin(ranked: list[npt.NDArray[np.int64]]) -> list[int]:
    """Return the first item of every list, then the second of every list, and so on."""
    depths = range(max(map(len, ranked), default=0))
    return [int(rows[depth]) for depth in depths for rows in ranked if depth < len(rows)]
