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
    quantile has the degrees of freedom of half of the images that have the class.

    Args:
        matches: of N images.
        factor: how much larger the variances are than those of N independent labels.

    Returns:
        The estimates; the interval of a class that fewer than two images have is infinite.
    """
    careful, drawn = _without_interpolation(matches)
    precision = average_precision(matches)
    parts = []
    for figure in (_ap50, _whole):
        values, centres, halves = (figure(curve) for curve in (precision, careful, drawn))
        parts.append(_estimates(values[0], centres[0], halves, matches.objects > 0, factor))
    (ap50, *of_classes), (whole, *whole_of_classes) = parts
    return ap50, whole, tuple(of_classes), tuple(whole_of_classes)


def _without_interpolation(matches: Matches) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return average precision of all images, float64 [1, C, T], and of half samples, float64 [S, C, T]."""
    halves = average_precision(matches, _half_samples(len(matches.objects)), interpolated=False)
    return average_precision(matches, interpolated=False), halves


def _ap50(precision: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return AP50, its mean over the classes and that of each class, float64 [B, 1 + C]."""
    return np.column_stack([mean_over_classes(precision[..., 0]), precision[..., 0]])


def _whole(precision: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return AP50:95, its mean over the classes and that of each class, float64 [B, 1 + C]."""
    of_classes = precision.mean(axis=2)
    return np.column_stack([mean_over_classes(of_classes), of_classes])


def _estimates(
    values: npt.NDArray[np.float64],
    centres: npt.NDArray[np.float64],
    halves: npt.NDArray[np.float64],
    there: npt.NDArray[np.bool_],
    factor: float,
) -> list[Estimate]:
    """Return the estimate of the mean over the classes, and of each class.

    Args:
        values: float64 [1 + C], the figures.
        centres: float64 [1 + C], the figures without interpolation.
        halves: float64 [S, 1 + C], the same of half samples.
        there: bool [N, C], which images have an object of each class.
        factor: see `average_precisions`.
    """
    count = len(there)
    images = np.concatenate([[there.any(axis=1).sum()], there.sum(axis=0)])
    spread = _spread(halves, images) * math.sqrt(factor * (count // 2) / max(1, count - count // 2))
    freedom = np.maximum(images // 2 - 1, 1).astype(np.float64)
    freedom[0] = _joint_freedom(spread[1:], freedom[1:], float(freedom[0]))
    # a class that one image has may be anything, and so may its part of the mean
    single = int((images[1:] == 1).sum())
    spread[0] = math.hypot(spread[0], math.sqrt(single) * 0.5 / max(1, int((images[1:] > 0).sum())))
    return [
        _estimate(*numbers, count)
        for numbers in zip(values.tolist(), centres.tolist(), spread.tolist(), freedom, images, strict=True)
    ]


def _spread(halves: npt.NDArray[np.float64], images: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the standard deviation of half samples, float64 [1 + C]; NaN for less than two images."""
    spread = np.full(halves.shape[1], np.nan)
    known = (images > 1) & (np.isfinite(halves).sum(axis=0) > 1)
    spread[known] = np.nanstd(halves[:, known], axis=0, ddof=1)
    return spread


def _joint_freedom(
    spread: npt.NDArray[np.float64], freedom: npt.NDArray[np.float64], otherwise: float
) -> float:
    """Return the degrees of freedom of a mean over classes (Satterthwaite 1946, doi 10.2307/3002019).

    Args:
        spread: float64 [C], standard errors of the classes; NaN for unknown ones.
        freedom: float64 [C], their degrees of freedom.
        otherwise: the result if no class shows a variance.
    """
    known = np.isfinite(spread)
    variance = spread[known] ** 2
    whole = float((variance**2 / freedom[known]).sum())
    return float(variance.sum()) ** 2 / whole if whole > 0 else otherwise


def _estimate(
    value: float, centre: float, spread: float, freedom: float, images: int, count: int
) -> Estimate:
    """Return an estimate with its interval; see `average_precisions`."""
    if not math.isfinite(spread):
        return Estimate(value, -math.inf, math.inf, count)
    middle = min(max(centre, _EDGE), 1 - _EDGE)
    width = _quantile(freedom) * spread / (middle * (1 - middle))
    odds = math.log(middle / (1 - middle))
    low, high = (1 / (1 + math.exp(-end)) for end in (odds - width, odds + width))
    if not spread:  # all answers are right, or none is, so the sample shows no variance
        plain = wilson(value * images, images)
        low, high = min(low, plain.low), max(high, plain.high)
    return Estimate(value, min(low, value), max(high, value), count)


def _quantile(freedom: float) -> float:
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

    Returns:
        The estimate, whose labels are the objects.
    """
    count, objects, successes = len(wholes), int(wholes.sum()), int(parts.sum())
    if not objects:
        return Estimate(math.nan, 0.0, 1.0, objects)
    value = successes / objects
    alone = value * (1 - value) / objects
    together = float(((parts - value * wholes) ** 2).sum()) / objects**2 * count / max(1, count - 1)
    effective = objects / factor / (max(1.0, together / alone) if alone else 1.0)
    interval = wilson(value * effective, effective)
    return Estimate(value, interval.low, interval.high, objects)
