"""Intervals of a detector's metrics, over images that were drawn at random."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.estimators import Estimate
from octospoon.domain.evaluation.metrics import wilson
from octospoon.domain.task_types.detection.average_precision import average_precision, mean_over_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from octospoon.domain.task_types.detection.matching import Matches

_RESAMPLES = 500
_HALVES = 200
_NORMAL = 1.959964
_EDGE = 0.02
"""Beyond it, log-odds change too fast for a standard error."""


def average_precisions(
    matches: Matches, factor: float = 1.0
) -> tuple[Estimate, Estimate, tuple[Estimate, ...], tuple[Estimate, ...]]:
    """Estimate AP50 and AP50:95, both as the mean over the classes and for each class.

    Half samples of the images give the standard error (McCarthy 1969, doi 10.2307/1402129; delete-d
    jackknife, Shao and Wu 1989, doi 10.1214/aos/1176347263). The bootstrap gives too small a one, because
    repeated images have no new precision. COCO's average precision is biased upwards, so the centre of the
    interval is the figure without interpolation; see `average_precision`. The interval is symmetric on the
    scale of log-odds, because errors are larger below than above, and it includes the estimate. Student's
    quantile has the degrees of freedom of a half.

    Args:
        matches: of N images.
        factor: how much larger the variances are than those of N independent labels.

    Returns:
        The estimates; their intervals are infinite for fewer than two images with objects.
    """
    count = len(matches.objects)
    values = _figures(average_precision(matches))[0]
    low, high = _ends(matches, factor) if count > 1 else (np.full_like(values, np.nan),) * 2
    known = np.isfinite(low)
    low = np.where(known, np.fmin(low, values), -math.inf)
    high = np.where(known, np.fmax(high, values), math.inf)
    ends = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    parts = [Estimate(*numbers, count) for numbers in ends]
    classes = matches.objects.shape[1]
    return parts[0], parts[1], tuple(parts[2 : 2 + classes]), tuple(parts[2 + classes :])


def _ends(matches: Matches, factor: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the ends of the intervals of `_figures`, each float64 [F]; NaN where nothing is known."""
    count = len(matches.objects)
    half = count // 2
    drawn = _figures(average_precision(matches, _half_samples(count), interpolated=False))
    known = np.isfinite(drawn).sum(axis=0) > 1
    spread = np.full(drawn.shape[1], np.nan)
    spread[known] = np.nanstd(drawn[:, known], axis=0, ddof=1) * math.sqrt(factor * half / (count - half))
    centre = _figures(average_precision(matches, interpolated=False))[0].clip(_EDGE, 1 - _EDGE)
    width = _quantile(max(1, half - 1)) * spread / (centre * (1 - centre))
    odds = np.log(centre / (1 - centre))
    return _share(odds - width), _share(odds + width)


def _quantile(freedom: int) -> float:
    """Return Student's 97.5 % quantile (Abramowitz and Stegun 1964, 26.7.5), to 1 % from 3 degrees."""
    z, shares = _NORMAL, 1.0 / freedom
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + shares * (first + shares * (second + shares * third))


def _half_samples(count: int) -> npt.NDArray[np.int64]:
    """Return how often each image is in each half sample, int64 [S, N]; pairs of them do not overlap."""
    weights = np.zeros((_HALVES, count), np.int64)
    rng, half = np.random.default_rng(0), count // 2
    for pair in range(0, _HALVES, 2):
        order = rng.permutation(count)
        weights[pair, order[:half]] = weights[pair + 1, order[count - half :]] = 1
    return weights


def _figures(precision: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return AP50 and AP50:95 over the classes, then AP50 and AP50:95 of each class, float64 [B, 2 + 2 * C].

    Args:
        precision: float64 [B, C, T].
    """
    ap50, whole = precision[..., 0], precision.mean(axis=2)
    return np.column_stack([mean_over_classes(ap50), mean_over_classes(whole), ap50, whole])


def _share(odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return result


def bootstrap(
    measure: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    sums: npt.NDArray[np.float64],
    factor: float,
) -> Estimate:
    """Estimate a metric of sums over images, with the percentile interval of the bootstrap over the images.

    Args:
        measure: returns the metric, float64 [B], of sums float64 [B, S]; NaN if it is not defined.
        sums: float64 [N, S], what each image adds.
        factor: see `average_precisions`; the ends move away from the estimate by its root.
    """
    count = len(sums)
    value = float(measure(sums.sum(axis=0, keepdims=True))[0])
    if count < 2:
        return Estimate(value, -math.inf, math.inf, count)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    known = measure(drawn @ sums)
    known = known[np.isfinite(known)]
    if not len(known):
        return Estimate(value, -math.inf, math.inf, count)
    ends = np.quantile(known, [0.025, 0.975])
    low, high = (value + math.sqrt(factor) * (ends - value)).tolist()
    return Estimate(value, min(low, value), max(high, value), count)


def share(parts: npt.NDArray[np.int64], wholes: npt.NDArray[np.int64], factor: float) -> Estimate:
    """Estimate a share of objects, with Wilson's interval at the effective number of objects.

    Objects of one image are alike. The variance of the ratio over images, against that of independent
    objects, says how many objects they are worth (Kish 1965, Survey Sampling, chapter 8).

    Args:
        parts: int64 [N], successes in each image.
        wholes: int64 [N], objects in each image.
        factor: see `average_precisions`.
    """
    count, objects, successes = len(wholes), int(wholes.sum()), int(parts.sum())
    if not objects:
        return Estimate(math.nan, 0.0, 1.0, count)
    value = successes / objects
    alone = value * (1 - value) / objects
    together = float(((parts - value * wholes) ** 2).sum()) / objects**2 * count / max(1, count - 1)
    effective = objects / factor / (max(1.0, together / alone) if alone else 1.0)
    interval = wilson(value * effective, effective)
    return Estimate(value, interval.low, interval.high, count)
