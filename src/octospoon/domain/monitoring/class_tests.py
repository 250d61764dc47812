"""Test whether two samples of images show the same classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.monitoring.two_sample_tests import chi_squared

if TYPE_CHECKING:
    import numpy.typing as npt

_ROUNDING = 1e-7
"""Tables whose probabilities differ by less than this share are equally likely (as in R and SciPy)."""


def class_shift(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Return the p-value of a test that two samples show the classes equally often.

    If every image shows exactly one class, it is Pearson's chi-squared test on the counts. Otherwise classes
    of an image may depend on one another: cars come with roads. The counts then vary more than chi-squared
    allows for. So each class has Fisher's exact test of its own, on the images that show it and those that do
    not. The result is the smallest p-value times the number of classes, at most 1 (Bonferroni).

    Which test runs depends on both samples together, so that it cannot favour a difference between them.

    Args:
        first: bool [N, C], which classes each image of one sample shows.
        second: bool [M, C], those of the other.
    """
    if (first.sum(axis=1) == 1).all() and (second.sum(axis=1) == 1).all():
        return chi_squared(first.sum(axis=0), second.sum(axis=0))
    counts = zip(first.sum(axis=0).tolist(), second.sum(axis=0).tolist(), strict=True)
    smallest = min((fisher(one, len(first), two, len(second)) for one, two in counts), default=1.0)
    return min(1.0, int(first.shape[1]) * smallest)


def fisher(first: int, n: int, second: int, m: int) -> float:
    """Return the two-sided p-value of Fisher's exact test that two shares are equal.

    It is the probability of all tables with the same margins that are at most as likely as the given one. It
    holds for any counts, so that rare classes need no pooling.

    Args:
        first: number of hits in one sample.
        n: size of that sample.
        second: number of hits in the other.
        m: size of the other.
    """
    factorials = np.concatenate([[0.0], np.log(np.arange(1, n + m + 1)).cumsum()])

    def choose(total: int, some: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        result: npt.NDArray[np.float64] = factorials[total] - factorials[some] - factorials[total - some]
        return result

    hits = first + second
    possible = np.arange(max(0, hits - m), min(n, hits) + 1)
    logarithms = choose(n, possible) + choose(m, hits - possible)
    shares = np.exp(logarithms - logarithms.max())
    given = shares[first - possible[0]]
    return float(shares[shares <= given * (1 + _ROUNDING)].sum() / shares.sum())
