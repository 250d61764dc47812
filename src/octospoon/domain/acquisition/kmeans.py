"""k-means with reproducible clusters: k-means++ seeds drawn by hashes, then Lloyd's iterations.

It uses numpy alone, because the functions do not contain scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool.keys import unit_hash

if TYPE_CHECKING:
    import numpy.typing as npt

_ITERATIONS = 10
_GREEDY_UP_TO = 256
"""With more clusters, seeding one by one takes too long; see `_many_seeds`."""
_ITERATIONS_OF_MANY = 2
_SEEDING_STEPS = 8
_CHUNK = 1 << 22
"""Numbers of a distance matrix that are computed at once, to bound the memory."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """A partition of N points.

    Attributes:
        assignment: int64 [N], the cluster of each point, in [0, k).
        distance: float64 [N], squared Euclidean distance of each point to its centre.
        k: number of clusters; some are empty if points coincide.
    """

    assignment: npt.NDArray[np.int64]
    distance: npt.NDArray[np.float64]
    k: int

    def members(self) -> list[npt.NDArray[np.int64]]:
        """Return the positions in each of the k clusters, int64, ascending."""
        order = np.argsort(self.assignment, kind="stable")
        return np.split(order, np.searchsorted(self.assignment[order], np.arange(1, self.k)))


def kmeans(points: npt.NDArray[np.float64], k: int, seed: str) -> Clusters:
    """Partition points into min(k, N) clusters (Lloyd 1982).

    Seeds are drawn as in k-means++ (Arthur and Vassilvitskii 2007). More than _GREEDY_UP_TO seeds are drawn
    in a few steps, as in k-means|| (Bahmani et al. 2012, arXiv 1203.6402), with fewer iterations after them.
    The result depends on the order of the rows, so sort them by id first.

    Args:
        points: float64 [N, D].
        k: number of clusters.
        seed: fixes the seeds.
    """
    k = min(k, len(points))
    if k == 0:
        return Clusters(np.empty(0, np.int64), np.empty(0), 0)
    # Single precision halves the time. Distances are computed as |x|² - 2·x·c + |c|², which cancels if the
    # points are far from zero; subtracting the mean keeps it exact enough.
    near = (points - points.mean(axis=0)).astype(np.float32)
    squares = np.einsum("nd,nd->n", near, near)
    centres = near[(_seeds if k <= _GREEDY_UP_TO else _many_seeds)(near, squares, k, seed)]
    assignment, distance = _nearest(near, squares, centres)
    for _ in range(_ITERATIONS if k <= _GREEDY_UP_TO else _ITERATIONS_OF_MANY):
        centres = _means(near, assignment, centres)
        moved, distance = _nearest(near, squares, centres)
        if np.array_equal(moved, assignment):
            break
        assignment = moved
    return Clusters(assignment, distance, k)


def _seeds(
    points: npt.NDArray[np.float32], squares: npt.NDArray[np.float32], k: int, seed: str
) -> npt.NDArray[np.int64]:
    """Draw k seeds one by one, with probabilities proportional to the squared distance from the nearest seed.

    This is the greedy variant: of a few draws, it takes the one that leaves the smallest sum of distances.

    Args:
        points: float32 [N, D].
        squares: float32 [N], the squared length of each point.
        k: number of seeds, at most N.
        seed: fixes the draws.

    Returns:
        int64 [k], positions of the seeds.
    """
    chosen = np.empty(k, np.int64)
    nearest = np.full(len(points), np.inf, np.float32)
    trials = 2 + int(np.log(k))
    for step in range(k):
        mass = np.cumsum(nearest if step else np.ones(len(points)), dtype=np.float64)
        draws = [unit_hash("kmeans", seed, str(step), str(trial)) * mass[-1] for trial in range(trials)]
        # the minimum guards against a draw that rounding puts at the very end of the sum
        drawn = np.minimum(np.searchsorted(mass, draws, side="right"), len(points) - 1)
        gaps = squares[:, np.newaxis] - 2.0 * (points @ points[drawn].T) + squares[drawn]
        left = np.minimum(nearest[:, np.newaxis], np.maximum(gaps, 0.0))
        best = int(left.sum(axis=0).argmin())
        chosen[step], nearest = drawn[best], left[:, best]
    return chosen


def _many_seeds(
    points: npt.NDArray[np.float32], squares: npt.NDArray[np.float32], k: int, seed: str
) -> npt.NDArray[np.int64]:
    """Draw k seeds in _SEEDING_STEPS steps, many in each, with the arguments and result of `_seeds`.

    Within a step, systematic sampling takes points at even distances along the cumulative sum of squared
    distances, from one random start. Each point keeps a probability proportional to its squared distance.
    """
    drawn = np.empty(0, np.int64)
    nearest = np.ones(len(points))
    for share in np.array_split(np.arange(k), _SEEDING_STEPS):
        mass = np.cumsum(nearest)
        marks = (np.arange(len(share)) + unit_hash("kmeans", seed, str(len(drawn)))) / len(share) * mass[-1]
        new = np.minimum(np.searchsorted(mass, marks, side="right"), len(points) - 1)
        gaps = _nearest(points, squares, points[new])[1]
        nearest = np.minimum(nearest, gaps) if len(drawn) else gaps
        drawn = np.concatenate([drawn, new])
    return drawn


def _nearest(
    points: npt.NDArray[np.float32], squares: npt.NDArray[np.float32], centres: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the nearest centre of each point, int64 [N], and the squared distance to it, float64 [N].

    |x|² is the same for all centres, so the search leaves it out and adds it to the smallest only.
    """
    assignment = np.empty(len(points), np.int64)
    distance = np.empty(len(points))
    lengths = np.einsum("kd,kd->k", centres, centres)
    rows = max(1, _CHUNK // len(centres))
    for start in range(0, len(points), rows):
        part = slice(start, start + rows)
        gaps = lengths - 2.0 * (points[part] @ centres.T)
        assignment[part] = gaps.argmin(axis=1)
        distance[part] = np.maximum(gaps.min(axis=1) + squares[part], 0.0)
    return assignment, distance


def _means(
    points: npt.NDArray[np.float32], assignment: npt.NDArray[np.int64], centres: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the mean of each cluster, float32 [k, D]; an empty cluster keeps its centre.

    Sorting by cluster makes each sum a contiguous block, which is much faster than adding point by point.
    """
    sizes = np.bincount(assignment, minlength=len(centres))
    order = np.argsort(assignment, kind="stable")
    filled = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[filled]
    means = centres.copy()
    means[filled] = np.add.reduceat(points[order], starts, axis=0) / sizes[filled, np.newaxis].astype(
        np.float32
    )
    return means
