"""Look for rare classes: weigh uncertain images by how much their likely classes lack labels.

A margin treats all pairs of classes alike. Where most images show one class, most uncertain images lie
between common classes, or show odd images of the commonest one. So part of a batch is chosen by margins that
are weighted by need. The need of a class is in inverse proportion to its labels so far, and the need of an
image is that of its classes, by their probabilities: the margin with the costs of cost-sensitive learning
(Elkan 2001). The rest of the batch is chosen by plain margins, which finds what the model is wrong about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition import margin
from octospoon.domain.acquisition.diverse import FACTOR, diverse
from octospoon.domain.acquisition.strategy import Candidates, highest
from octospoon.domain.monitoring.two_sample_tests import chi_squared_tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

SHARE = 0.5
"""Part of the images that are chosen by need."""
EVEN = 0.8
"""Labels are imbalanced if the effective number of their classes is less than this part of all classes."""
LOOKED_AT = 2000
"""Number of images from all over the pool among which a batch looks, besides the most uncertain ones."""
_SURE = 0.01
_FEWEST = 0.5


def imbalanced(labels: npt.NDArray[np.int64]) -> bool:
    """Return whether labels are surely and clearly not spread evenly over the classes.

    Surely: Pearson's test rejects at 1 % that each class is equally likely. Clearly: the effective number of
    classes is small. It is 1 / sum(p²), the inverse of Simpson's index, whose estimate
    sum(n·(n - 1)) / (N·(N - 1)) is unbiased for few labels (Simpson 1949).

    Args:
        labels: int64 [C], the number of labels of each class.
    """
    total, classes = int(labels.sum()), len(labels)
    if total < 2 or classes < 2:
        return False
    expected = total / classes
    statistic = float(((labels - expected) ** 2).sum() / expected)
    alike = float((labels * (labels - 1)).sum() / (total * (total - 1)))
    return chi_squared_tail(statistic, classes - 1) < _SURE and alike * EVEN * classes > 1.0


def note(labels: npt.NDArray[np.int64], names: Sequence[str]) -> str:
    """Return in words that a batch looks for rare classes, and for which.

    Args:
        labels: int64 [C], the number of labels of each class.
        names: C names.
    """
    expected, total = labels.sum() / len(labels), int(labels.sum())
    most = int(labels.argmax())
    rare = [f"{names[i]} ({labels[i]})" for i in np.argsort(labels, kind="stable").tolist()]
    rare = [text for text, i in zip(rare, np.sort(labels), strict=True) if i < _FEWEST * expected]
    wanted = f": {', '.join(rare)}" if rare else ""
    return (
        f"{labels[most] / total:.0%} of {total} labels are {names[most]}, so half of the strategy's images "
        f"look for classes with few labels{wanted}"
    )


def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return min(n, N) positions: a part by need, the rest by margins alone, smallest margins first.

    Args:
        pool: N candidates with probabilities, embeddings and labels.
        n: number of images to choose.
        seed: fixes the clusters.

    Raises:
        ValueError: probabilities or embeddings are missing or not finite, or the labels are of other classes.
    """
    scores = margin.score(pool.predicted())
    needed = _best(pool, scores * need(pool), round(SHARE * n), f"{seed}/need")
    left = np.setdiff1d(np.arange(len(pool.ids)), needed)
    rest = left[_best(pool.take(left), scores[left], n - len(needed), seed)]
    chosen = np.concatenate([needed, rest])
    return chosen[highest(scores[chosen], [pool.ids[i] for i in chosen.tolist()], n)]


def need(pool: Candidates) -> npt.NDArray[np.float64]:
    """Return how much the likely classes of each candidate lack labels, float64 [N], at least 0.

    A class has the weight 1 / (labels + 1).
    """
    probabilities, labels = pool.predicted(), pool.labels
    if labels is None or len(labels) != probabilities.shape[1]:
        raise ValueError("the numbers of labels are not those of the candidates' classes")
    needs: npt.NDArray[np.float64] = probabilities.astype(np.float64) @ (1.0 / (labels + 1.0))
    return needs


def _best(pool: Candidates, scores: npt.NDArray[np.float64], n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return n different positions with high scores."""
    near = highest(scores, pool.ids, FACTOR * n)
    return near[diverse(pool.take(near), scores[near], n, seed)] if len(near) else near
