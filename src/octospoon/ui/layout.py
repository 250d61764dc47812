"""Place images on a plane so that similar images are near each other.

The embeddings are reduced to `COMPONENTS` numbers by a principal component analysis, from one pass over them.
A neighbour embedding then places at most 100,000 images; a process of its own computes it, see
`octospoon.ui.fit_map`. Images that arrive later are placed beside their nearest neighbours on that map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

COMPONENTS = 50
NEIGHBOURS = 5
REFIT = 0.2
"""Share of images without a place from which on the map is computed anew."""
_CHUNK = 4096
_PLACED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Projection:
    """A principal component analysis: ``(x - mean) @ axes``.

    Attributes:
        mean: float32 [D].
        axes: float32 [D, K], orthonormal columns, by falling variance.
    """

    mean: npt.NDArray[np.float32]
    axes: npt.NDArray[np.float32]

    def __call__(self, embeddings: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """Return float32 [N, K] for float16 [N, D], in pieces: the input may be a file."""
        reduced = np.empty((len(embeddings), self.axes.shape[1]), np.float32)
        for start, piece in _pieces(embeddings):
            reduced[start : start + len(piece)] = (piece - self.mean) @ self.axes
        return reduced


def fit_projection(embeddings: npt.NDArray[np.float16], components: int = COMPONENTS) -> Projection:
    """Return the projection onto the components of largest variance.

    Each axis points to where its largest entry is positive, so that the same data give the same map.

    Args:
        embeddings: float16 [N, D] with N > 0; read twice in pieces.
        components: K; fewer if N or D is smaller.
    """
    n, dim = embeddings.shape
    mean = sum(piece.sum(axis=0, dtype=np.float64) for _, piece in _pieces(embeddings)) / n
    covariance = np.zeros((dim, dim))
    for _, piece in _pieces(embeddings):
        centred = piece - mean.astype(np.float32)
        covariance += centred.T @ centred
    values, vectors = np.linalg.eigh(covariance)
    axes = vectors[:, np.argsort(-values, kind="stable")[: min(components, n, dim)]]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return Projection(mean.astype(np.float32), (axes * np.where(signs == 0, 1, signs)).astype(np.float32))


def plane(reduced: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the first two components, float32 [N, 2]; zeros stand for a component that is missing."""
    flat = np.zeros((len(reduced), 2), np.float32)
    flat[:, : min(2, reduced.shape[1])] = reduced[:, :2]
    return flat


def placed(
    points: npt.NDArray[np.float32],
    known: npt.NDArray[np.float32],
    places: npt.NDArray[np.float32],
    neighbours: int = NEIGHBOURS,
) -> npt.NDArray[np.float32]:
    """Return places for new points: the median place of their nearest known points.

    The median keeps a point between two groups inside one of them.

    Args:
        points: float32 [M, K].
        known: float32 [N, K] with N > 0.
        places: float32 [N, 2] of the known points.
        neighbours: number of nearest points.
    """
    result = np.empty((len(points), 2), np.float32)
    for start in range(0, len(points), _PLACED_AT_ONCE):
        piece = points[start : start + _PLACED_AT_ONCE]
        near = nearest(piece, known, neighbours)
        result[start : start + len(piece)] = np.median(places[near], axis=1)
    return result


def nearest(points: npt.NDArray[np.float32], known: npt.NDArray[np.float32], n: int) -> npt.NDArray[np.int64]:
    """Return the indices of the n nearest known points of each point, int64 [M, min(n, N)], nearest first."""
    squared = (known**2).sum(axis=1) - 2 * points @ known.T  # without |point|², which is the same for all
    n = min(n, len(known))
    some = np.argpartition(squared, n - 1, axis=1)[:, :n]
    order = np.take_along_axis(squared, some, axis=1).argsort(axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


def _pieces(embeddings: npt.NDArray[np.float16]) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    for start in range(0, len(embeddings), _CHUNK):
        yield start, embeddings[start : start + _CHUNK].astype(np.float32)
