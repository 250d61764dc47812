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

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

SHARE = 0.5
"""Part of the images that are chosen by need."""
EVEN = 0.8
"""Classes are imbalanced if their effective number is less than this part of their number."""
LOOKED_AT = 500
"""Number of images from all over the pool that show the classes' shares. They are candidates too."""
_FEW = 0.5


def imbalanced(shares: npt.NDArray[np.floating]) -> bool:
    """Return whether classes are clearly not equally frequent in the pool.

    The shares are predictions. Labels would not do: a strategy levels them, and the few that are drawn
    uniformly show nothing for many rounds. The effective number of classes is 1 / sum(p²), the inverse of
    Simpson's index (Simpson 1949). By predictions, it was 0.83 of the number of equally frequent classes
    after 20 labels and 0.95 after 50. Where 57 to 85 % of the images show one class, it was at most 0.53.

    Args:
        shares: float [C], not negative; if they do not sum to one, their proportions count.
    """
    wide = shares.astype(np.float64)
    return bool(wide.sum() ** 2 < EVEN * len(wide) * float((wide**2).sum()))


def note(shares: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], names: Sequence[str]) -> str:
    """Return in words that a batch looks for rare classes, and for which.

    Args:
        shares: float [C], the share of each class in the pool.
        labels: int64 [C], the number of labels of each class.
        names: C names.
    """
    most, few = int(shares.argmax()), _FEW * labels.sum() / len(labels)
    rare = [i for i in np.argsort(labels, kind="stable").tolist() if labels[i] < few]
    wanted = f": {', '.join(f'{names[i]} ({labels[i]})' for i in rare)}" if rare else ""
    return (
        f"about {shares[most]:.0%} of the images are {names[most]}, so half of the strategy's images look "
        f"for classes with few labels{wanted}"
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

    A class has the weight 1 / (labels + 1). If the classes do not exclude each other, a sum would favour
    images with many classes. Then the need is the mean weight of the classes, each counted by its own margin:
    the lack of labels where the image is in doubt.
    """
    probabilities, labels = pool.probabilities, pool.labels
    if probabilities is None or labels is None or len(labels) != probabilities.shape[1]:
        raise ValueError("the numbers of labels are not those of the candidates' classes")
    wide, weights = probabilities.astype(np.float64), 1.0 / (labels + 1.0)
    if pool.outcomes is None:
        needs: npt.NDArray[np.float64] = wide @ weights
        return needs
    margins = 1.0 - np.abs(2.0 * wide - 1.0)
    whole = np.maximum(margins.sum(axis=1), np.finfo(np.float64).tiny)
    mean: npt.NDArray[np.float64] = margins @ weights / whole
    return mean


def _best(pool: Candidates, scores: npt.NDArray[np.float64], n: int, seed: str) -> npt.NDArray[np.int64]:
    """Return n different positions with high scores."""
    near = highest(scores, pool.ids, FACTOR * n)
    return near[diverse(pool.take(near), scores[near], n, seed)] if len(near) else near
