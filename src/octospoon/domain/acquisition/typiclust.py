"""TypiClust: the most typical image of each cluster, for the first labels (arXiv 2202.02794)."""

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

    Clusters below SMALLEST_CLUSTER, which are mostly outliers, come last; where that leaves too few, large
    clusters give their next typical images. No cluster counts as labelled: this is for the first batch.

    Raises:
        ValueError: embeddings are missing or not finite.
    """
    order = in_order_of_id(pool.ids)
    points = pool.embedded()[order]
    members = sorted(kmeans(points, n, seed).members(), key=len, reverse=True)
    ranked = [m[np.argsort(-typicality(points[m]), kind="stable")] for m in members if len(m)]
    typical = _round_robin([m for m in ranked if len(m) >= SMALLEST_CLUSTER])
    unusual = _round_robin([m for m in ranked if len(m) < SMALLEST_CLUSTER])
    return order[np.array((typical + unusual)[:n], np.int64)]


def typicality(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return one over the mean distance to the nearest min(20, N - 1) others, float64 [N] (formula 1 there).

    Args:
        points: float64 [N, D], one cluster. Of more than 2048 points, neighbours are sought among every k-th.
    """
    others = points[:: -(-len(points) // _LARGEST)] if len(points) else points
    gaps = np.einsum("nd,nd->n", points, points)[:, np.newaxis] - 2.0 * (points @ others.T)
    distances = np.sqrt(np.maximum(gaps + np.einsum("nd,nd->n", others, others), 0.0))
    k = min(NEIGHBOURS, len(others) - 1)
    nearest = np.partition(distances, k, axis=1)[:, : k + 1].sum(axis=1) / max(k, 1)
    result: npt.NDArray[np.float64] = 1.0 / (nearest + 1e-12)
    return result


def _round_robin(ranked: list[npt.NDArray[np.int64]]) -> list[int]:
    """Return the first of every list, then the second of every list, and so on."""
    depths = range(max(map(len, ranked), default=0))
    return [int(m[depth]) for depth in depths for m in ranked if depth < len(m)]
