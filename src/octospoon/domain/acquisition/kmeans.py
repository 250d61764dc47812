"""k-means that gives the same clusters every time: k-means++ seeding by hashes, then Lloyd's iterations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool.keys import unit_hash

if TYPE_CHECKING:
    import numpy.typing as npt

_ITERATIONS = 10
_GREEDY_UP_TO = 256
_ITERATIONS_OF_MANY = 2
_SEEDING_STEPS = 8
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Clusters:
    """A partition.

    Attributes:
        assignment: int64 [N], the cluster of each point, in [0, k).
        distance: float64 [N], squared Euclidean distance to the own centre.
        k: number of clusters; some may be empty where points coincide.
    """

    assignment: npt.NDArray[np.int64]
    distance: npt.NDArray[np.float64]
    k: int

    def members(self) -> list[npt.NDArray[np.int64]]:
        """Return the positions in each cluster, ascending."""
        order = np.argsort(self.assignment, kind="stable")
        return np.split(order, np.searchsorted(self.assignment[order], np.arange(1, self.k)))


def kmeans(points: npt.NDArray[np.float64], k: int, seed: str) -> Clusters:
    """Partition float64 [N, D] into min(k, N) clusters (Lloyd 1982).

    Seeded as k-means++ (Arthur and Vassilvitskii 2007); more than _GREEDY_UP_TO clusters in a few steps, as
    k-means|| (Bahmani et al. 2012, arXiv 1203.6402), and with fewer iterations. The result depends on
    the order of the rows: sort them by id first.
    """
    k = min(k, len(points))
    if k == 0:
        return Clusters(np.empty(0, np.int64), np.empty(0), 0)
    # single precision halves the time; without the mean, differences of squares stay exact enough
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
    """Draw points with a probability that grows with the squared distance from the nearest earlier seed.

    Greedily: of a few draws, the one that leaves the least distance in all is taken.
    """
    chosen = np.empty(k, np.int64)
    nearest = np.full(len(points), np.inf, np.float32)
    trials = 2 + int(np.log(k))
    for step in range(k):
        mass = np.cumsum(nearest if step else np.ones(len(points)), dtype=np.float64)
        draws = [unit_hash("kmeans", seed, str(step), str(trial)) * mass[-1] for trial in range(trials)]
        drawn = np.minimum(np.searchsorted(mass, draws, side="right"), len(points) - 1)
        gaps = squares[:, np.newaxis] - 2.0 * (points @ points[drawn].T) + squares[drawn]
        left = np.minimum(nearest[:, np.newaxis], np.maximum(gaps, 0.0))
        best = int(left.sum(axis=0).argmin())
        chosen[step], nearest = drawn[best], left[:, best]
    return chosen


def _many_seeds(
    points: npt.NDArray[np.float32], squares: npt.NDArray[np.float32], k: int, seed: str
) -> npt.NDArray[np.int64]:
    """Draw seeds as `_seeds` does, but a share of them in each step, at even steps of the distances' sum."""
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
    sizes = np.bincount(assignment, minlength=len(centres))
    order = np.argsort(assignment, kind="stable")
    filled = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[filled]
    means = centres.copy()
    means[filled] = np.add.reduceat(points[order], starts, axis=0) / sizes[filled, np.newaxis].astype(
        np.float32
    )
    return means
