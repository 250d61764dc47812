"""Tests of whether two samples come from one distribution, by numpy alone.

SciPy's would cost a function 100 MB; what they say agrees with these (tests/unit/domain/test_drift.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

EXPECTED = 5.0
"""The least expected count of a cell; classes below are counted together (Cochran 1954)."""
_FEATURES = 512
_PERMUTATIONS = 200
_PAIRS = 500


def kolmogorov_smirnov(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return the p-value of the two-sample test on each column, times their number, at most 1 (Bonferroni).

    Args:
        first: float [N, K].
        second: float [M, K].
    """
    columns = int(first.shape[1])
    gaps = [_largest_gap(first[:, column], second[:, column]) for column in range(columns)]
    return min(1.0, columns * kolmogorov(max(gaps), len(first), len(second)))


def _largest_gap(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return the largest distance between two empirical distribution functions."""
    one, other = np.sort(first), np.sort(second)
    every = np.concatenate([one, other])
    below = np.searchsorted(one, every, side="right") / len(one)
    gaps = below - np.searchsorted(other, every, side="right") / len(other)
    return float(np.abs(gaps).max())


def kolmogorov(gap: float, n: int, m: int) -> float:
    """Return the asymptotic probability of at least this gap between samples of n and m of one distribution.

    Kolmogorov's series with Stephens's correction for small samples (Stephens 1970, doi
    10.1111/j.2517-6161.1970.tb00821.x).
    """
    root = math.sqrt(n * m / (n + m))
    scaled = (root + 0.12 + 0.11 / root) * gap
    if scaled < 0.2:  # the series alternates for ever, and its sum is 1 to twelve digits
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2.0 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2.0 * math.fsum(terms)))


def chi_squared(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> float:
    """Return the p-value of Pearson's test that two counts, int [C] each, follow one distribution.

    Classes too rare for the test are counted together; 1 where fewer than two are left.
    """
    table = np.stack([first, second]).astype(np.float64)
    rare = table.sum(axis=0) * table.sum(axis=1).min() / table.sum() < EXPECTED
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return chi_squared_tail(float(((table - expected) ** 2 / expected).sum()), table.shape[1] - 1)


def chi_squared_tail(value: float, freedom: int) -> float:
    """Return the probability that chi-squared with so many degrees of freedom is at least `value`.

    The closed forms of the upper incomplete gamma function at halves (Abramowitz and Stegun, 26.4.4 and 5).
    """
    half = value / 2.0
    even = freedom % 2 == 0
    total = 0.0 if even else math.erfc(math.sqrt(half))
    shape = 0.0 if even else 0.5
    while shape < freedom / 2.0:
        if half > 0 or shape == 0:
            power = shape * math.log(half) if shape else 0.0
            total += math.exp(power - half - math.lgamma(shape + 1.0))
        shape += 1.0
    return min(1.0, total)


def maximum_mean_discrepancy(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return the permutation p-value of maximum mean discrepancy (Gretton et al., JMLR 13, 2012).

    A Gaussian kernel as wide as the median distance, approximated by random Fourier features (Rahimi and
    Recht 2007). The same samples give the same number.

    Args:
        first: float [N, K].
        second: float [M, K].
    """
    rng = np.random.default_rng(0)
    every = np.concatenate([first, second]).astype(np.float32)
    width = _median_distance(every, rng)
    angles = every @ (rng.standard_normal((every.shape[1], _FEATURES // 2)) / width).astype(np.float32)
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    # row 0 is the true split, the others are random ones of the same sizes
    split = np.full((_PERMUTATIONS + 1, len(every)), -1.0 / len(second), np.float32)
    split[0, : len(first)] = 1.0 / len(first)
    for row in split[1:]:
        row[rng.permutation(len(every))[: len(first)]] = 1.0 / len(first)
    distances = np.square(split @ features).sum(axis=1)
    return float(np.mean(distances >= distances[0]))


def witness(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return by how much denser the second sample is than the first where each of its rows lies.

    The witness function of maximum mean discrepancy (Gretton et al., JMLR 13, 2012, section 2.3), with the
    kernel of `maximum_mean_discrepancy`, exactly: the mean of k(x, y) over the second sample less that over
    the first, at each x of the second.

    Args:
        first: float [N, K].
        second: float [M, K].

    Returns:
        float64 [M], in (-1, 1].
    """
    every = np.concatenate([first, second]).astype(np.float32)
    width = _median_distance(every, np.random.default_rng(0))
    reference, window = np.split(every, [len(first)])
    gained, was = (_kernel(window, sample, width).mean(axis=1) for sample in (window, reference))
    return np.asarray(gained - was)


def _kernel(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32], width: float
) -> npt.NDArray[np.float64]:
    """Return the Gaussian kernel float64 [N, M] of the rows of float32 [N, K] and float32 [M, K]."""
    x, y = one.astype(np.float64), other.astype(np.float64)
    squares = np.square(x).sum(axis=1)[:, np.newaxis] + np.square(y).sum(axis=1) - 2.0 * (x @ y.T)
    return np.asarray(np.exp(np.maximum(squares, 0.0) / (-2.0 * width**2)))


def _median_distance(every: npt.NDArray[np.float32], rng: np.random.Generator) -> float:
    """Return the median distance of some pairs of rows, 1 where it is nothing."""
    ends = rng.integers(len(every), size=(2, _PAIRS))
    return float(np.median(np.linalg.norm(every[ends[0]] - every[ends[1]], axis=1))) or 1.0
