"""The interval of macro F1, which covers the truth for classes that occur rarely or not at all.

The percentile bootstrap is too narrow: no resample has an outcome that the sample lacks. Here each image gets
a random weight (the Bayesian bootstrap: Rubin 1981, Annals of Statistics 9), and each class one imaginary
image with or without success, whose chance is drawn from those of the other classes.

F1 is 2·s / (1 + s), where s is the share of right ones among the images that have the class or are predicted
to have it. So F1 of a class is a function of one proportion. It is concave, so errors of the share lower the
mean F1 (Jensen's inequality). With many rare classes, this bias is larger than the spread of macro F1. The
sample has it, and draws from the sample have it again. So the upper end rises by twice the bias of the draws.
The lower end stays, because the imaginary images raise classes that the model misses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from octospoon.domain.evaluation.metrics import Interval, wilson
from octospoon.domain.task_types.multilabel.predictions import THRESHOLD

if TYPE_CHECKING:
    import numpy.typing as npt

_Shares = TypeVar("_Shares", np.float64, "npt.NDArray[np.float64]")

_DRAWS = 1000
_IMAGINARY = 1.0
"""Number of imaginary images of each class."""
_BIASES = 2.0
"""How many times the bias of the draws is in them: once from the sample, once from drawing."""
_HALF = 0.5
"""Pseudo-counts of Jeffreys' prior for the mean share of right ones."""


def macro_f1(probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]) -> Interval:
    """Return the 95 % interval of macro F1.

    The draws have a fixed seed, so that equal arguments give an equal interval.

    Args:
        probabilities: float [N, C], N >= 1, for images that were drawn uniformly.
        targets: int [N, C], 1 for a class that is present.
    """
    rng = np.random.default_rng(0)
    predicted, present = probabilities >= THRESHOLD, targets == 1
    both, either = predicted & present, predicted | present
    count, classes = targets.shape
    weights = rng.exponential(size=(_DRAWS, count))
    weights *= count / weights.sum(axis=1, keepdims=True)
    right, all_ = weights @ both, weights @ either
    seen = either.any(axis=0)
    known = (right[:, seen] / np.maximum(all_[:, seen], np.finfo(np.float64).tiny)).sum(axis=1)
    share = _IMAGINARY * rng.beta(known + _HALF, seen.sum() - known + _HALF)[:, np.newaxis]
    chance = np.broadcast_to(share, (_DRAWS, classes))
    added, failed = rng.gamma(chance), rng.gamma(_IMAGINARY - chance)
    shares = (right + added) / (all_ + added + failed)
    scores = _f1(shares)
    low, high = np.quantile(scores.mean(axis=1), [0.025, 0.975]).tolist()
    bias = float(np.mean(_f1(shares.mean(axis=0)) - scores.mean(axis=0)))
    high = min(1.0, high + _BIASES * bias)
    if np.array_equal(predicted, present):  # the sample shows no variance
        images = int(present.any(axis=1).sum())
        low = min(low, float(_f1(np.float64(wilson(images, images).low))))
    return Interval(low, high)


def _f1(share: _Shares) -> _Shares:
    """Return F1 for shares of right ones."""
    return 2 * share / (1 + share)
