"""Test whether two samples come from the same distribution, with numpy alone.

SciPy would add 100 MB to a function. A test holds these results to SciPy's (tests/unit/domain/test_drift.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

EXPECTED = 5.0
"""Smallest expected count of a cell. Classes with smaller counts are pooled (Cochran 1954)."""
_FEATURES = 512
_PERMUTATIONS = 200
_PAIRS = 500
"""Number of pairs of rows whose median distance sets the width of the kernel."""


def kolmogorov_smirnov(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return the p-value of the two-sample Kolmogorov-Smirnov test over all columns.

    It is the smallest p-value of any column times the number of columns, at most 1 (Bonferroni).

    Args:
        first: float [N, K].
        second: float [M, K].
    """
    columns = int(first.shape[1])
    # all columns have the same sample sizes, so the largest gap has the smallest p-value
    gaps = [_largest_gap(first[:, column], second[:, column]) for column in range(columns)]
    return min(1.0, columns * kolmogorov(max(gaps), len(first), len(second)))


def _largest_gap(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return the largest distance between the empirical distribution functions of float [N] and float [M]."""
    first, second = np.sort(first), np.sort(second)
    values = np.concatenate([first, second])
    first_share = np.searchsorted(first, values, side="right") / len(first)
    gaps = first_share - np.searchsorted(second, values, side="right") / len(second)
    return float(np.abs(gaps).max())


def kolmogorov(gap: float, n: int, m: int) -> float:
    """Return the asymptotic probability of a gap at least this large under the null hypothesis.

    This is Kolmogorov's series with Stephens's correction for small samples (Stephens 1970, doi
    10.1111/j.2517-6161.1970.tb00821.x).

    Args:
        gap: largest distance of the two empirical distribution functions, in [0, 1].
        n: size of one sample.
        m: size of the other.
    """
    root = math.sqrt(n * m / (n + m))
    scaled = (root + 0.12 + 0.11 / root) * gap
    if scaled < 0.2:  # the series converges too slowly here, and its sum is 1 to twelve digits
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2.0 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2.0 * math.fsum(terms)))


def chi_squared(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> float:
    """Return the p-value of Pearson's chi-squared test that two samples have the same class distribution.

    Classes that are too rare for the test are pooled, because chi-squared approximates small counts badly.

    Args:
        first: int [C], class counts of one sample.
        second: int [C], class counts of the other.

    Returns:
        The p-value; 1 if fewer than two classes are left.
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
    """Return the probability that a chi-squared variable is at least `value`.

    Uses the closed forms for even and odd degrees of freedom (Abramowitz and Stegun, 26.4.4 and 26.4.5).

    Args:
        value: the statistic, at least 0.
        freedom: degrees of freedom, at least 1.
    """
    half = value / 2.0
    even = freedom % 2 == 0
    total = 0.0 if even else math.erfc(math.sqrt(half))
    shape = 0.0 if even else 0.5
    while shape < freedom / 2.0:
        # terms of the sum are computed as logarithms, because half^shape overflows for many classes
        if half > 0 or shape == 0:
            power = shape * math.log(half) if shape else 0.0
            total += math.exp(power - half - math.lgamma(shape + 1.0))
        shape += 1.0
    return min(1.0, total)


def maximum_mean_discrepancy(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return the permutation p-value of maximum mean discrepancy (Gretton et al., JMLR 13, 2012).

    The kernel is Gaussian, as wide as the median distance of the rows. Random Fourier features approximate it
    (Rahimi and Recht 2007), so the cost grows with N + M and not with its square. The random numbers have a
    fixed seed, so equal samples give an equal p-value.

    Args:
        first: float [N, K].
        second: float [M, K].
    """
    rng = np.random.default_rng(0)
    rows = np.concatenate([first, second]).astype(np.float32)
    width = _median_distance(rows, rng)
    angles = rows @ (rng.standard_normal((rows.shape[1], _FEATURES // 2)) / width).astype(np.float32)
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    # Row 0 of `split` is the true split; the others are random splits of the same sizes. The weights 1/N and
    # -1/M make a row times `features` the difference of the two means, so one product tests all splits.
    split = np.full((_PERMUTATIONS + 1, len(rows)), -1.0 / len(second), np.float32)
    split[0, : len(first)] = 1.0 / len(first)
    for row in split[1:]:
        row[rng.permutation(len(rows))[: len(first)]] = 1.0 / len(first)
    distances = np.square(split @ features).sum(axis=1)
    return float(np.mean(distances >= distances[0]))


def witness(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return how much denser the second sample is than the first at each row of the second.

    This is the witness function of maximum mean discrepancy (Gretton et al., JMLR 13, 2012, section 2.3): at
    each row x of the second sample, the mean of k(x, y) over the second minus the mean over the first. The
    kernel k is that of `maximum_mean_discrepancy`, here computed exactly.

    Args:
        first: float [N, K].
        second: float [M, K].

    Returns:
        float64 [M], in (-1, 1].
    """
    rows = np.concatenate([first, second]).astype(np.float32)
    width = _median_distance(rows, np.random.default_rng(0))
    reference, window = np.split(rows, [len(first)])
    window_density, reference_density = (
        _kernel(window, sample, width).mean(axis=1) for sample in (window, reference)
    )
    return np.asarray(window_density - reference_density)


def _kernel(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32], width: float
) -> npt.NDArray[np.float64]:
    """Return the Gaussian kernel float64 [N, M] of the rows of float32 [N, K] and float32 [M, K]."""
    x, y = first.astype(np.float64), second.astype(np.float64)
    squares = np.square(x).sum(axis=1)[:, np.newaxis] + np.square(y).sum(axis=1) - 2.0 * (x @ y.T)
    return np.asarray(np.exp(np.maximum(squares, 0.0) / (-2.0 * width**2)))


def _median_distance(rows: npt.NDArray[np.float32], rng: np.random.Generator) -> float:
    """Return the median distance of _PAIRS random pairs of rows of float32 [N, K]; 1 if it is 0."""
    ends = rng.integers(len(rows), size=(2, _PAIRS))
    return float(np.median(np.linalg.norm(rows[ends[0]] - rows[ends[1]], axis=1))) or 1.0
