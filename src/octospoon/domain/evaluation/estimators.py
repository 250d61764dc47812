"""Estimate how good a model is, with intervals, from labels drawn at random.

Strategy-selected labels are biased and training labels are optimistic. So only audit labels are used, and
each is judged by a head that was not trained on it (`training_record`). If the rest of the pool still
resembles the audit share, the model's confidence over the pool narrows the interval of the accuracy and
cannot bias it (prediction-powered inference, PPI++).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.evaluation import metrics

if TYPE_CHECKING:
    import numpy.typing as npt

DEPLETED = 0.05
"""Largest share of the uploads that a strategy may have taken out of the pool. Strategies take difficult
images first, so beyond this share the images left are too easy to represent all uploads."""
_PRIOR = 20.0
"""Number of imaginary labels that agree with a calibrated confidence; see `prediction_powered`."""
_RESAMPLES = 500
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate of a metric.

    Attributes:
        value: the estimate; NaN without labels.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        labels: number of labels that the estimate comes from.
    """

    value: float
    low: float
    high: float
    labels: int


class Measure(Protocol):
    """A metric of predictions."""

    def __call__(self, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
        """Return the metric of float [N, C] and the true classes int [N]."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Estimates of every metric of one model.

    Attributes:
        accuracy: the most precise estimate available.
        audit_accuracy: the accuracy from the audit labels alone, with Wilson's interval.
        log_loss: in nats.
        calibration_error: expected calibration error. It is biased upwards for few labels, and its interval
            is wide then.
        overconfidence: mean confidence minus accuracy.
        recall: the recall of each class, with Wilson's interval.
    """

    accuracy: Estimate
    audit_accuracy: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    overconfidence: Estimate
    recall: tuple[Estimate, ...]

    def metrics(self) -> dict[str, float]:
        """Return every finite number under a name such as ``accuracy_low``, recalls excepted."""
        names = ("accuracy", "audit_accuracy", "log_loss", "calibration_error", "overconfidence")
        numbers: dict[str, float] = {}
        for name in names:
            estimate: Estimate = getattr(self, name)
            numbers |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return {name: value for name, value in numbers.items() if math.isfinite(value)}


def proportion(correct: int, n: int, factor: float = 1.0) -> Estimate:
    """Estimate a proportion from n labels, with Wilson's interval.

    Args:
        correct: number of successes.
        n: number of labels.
        factor: how much larger the variance is than that of n independent labels, at least 1.
    """
    interval = metrics.wilson(correct / factor, n / factor)
    return Estimate(correct / n if n else math.nan, interval.low, interval.high, n)


def prediction_powered(
    right: npt.NDArray[np.bool_],
    confidence: npt.NDArray[np.floating],
    pool: npt.NDArray[np.floating],
    factor: float = 1.0,
) -> Estimate:
    """Estimate the accuracy from labels and the model's confidence over the pool.

    This is PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453), with the predictions of fold heads
    as in cross-prediction (Zrnic and Candès 2024, arXiv 2309.16598): λ·mean(pool) + mean(right -
    λ·confidence). It is unbiased for any confidence, because the audit labels correct the confidence's error.
    λ = Cov(right, confidence) / ((1 + n/M)·Var(confidence)), limited to [0, 1], minimises the variance.

    The interval is Wilson's at the effective number of labels, as for survey samples (Korn and Graubard
    1998). So it keeps its coverage near accuracy 1, where a normal interval does not.

    Args:
        right: bool [n], n >= 2, whether the model is right on each audit image.
        confidence: float [n], its confidence on these images.
        pool: float [M], its confidence over a uniform sample of the uploads; the mean of the fold heads, each
            weighted by the audit images that it judges.
        factor: see `proportion`.
    """
    hits, sure, n = right.astype(np.float64), confidence.astype(np.float64), len(right)
    weight = _weight(hits, sure, pool)
    rest = hits - weight * sure
    value = min(1.0, max(0.0, weight * float(pool.mean(dtype=np.float64)) + float(rest.mean())))
    # The effective number of labels would give the plain estimate the variance that this one has. It never
    # counts as fewer than n: the plain estimate would be as good then.
    alone = float(hits.var(ddof=1))
    left = float(rest.var(ddof=1)) + weight**2 * float(pool.var(dtype=np.float64)) * (n / len(pool))
    effective = (n * alone / left if alone > left else float(n)) / factor
    interval = metrics.wilson(value * effective, effective)
    low, high = interval.low, interval.high
    if not alone:  # all answers are equal, so the sample shows no variance; the plain interval must fit in
        plain = proportion(int(hits.sum()), n, factor)
        low, high = min(low, plain.low), max(high, plain.high)
    return Estimate(value, low, high, n)


def _weight(
    hits: npt.NDArray[np.float64], sure: npt.NDArray[np.float64], pool: npt.NDArray[np.floating]
) -> float:
    """Return λ of `prediction_powered`, in [0, 1].

    Covariance and variance are shrunk as if _PRIOR more labels had agreed with a calibrated confidence, for
    which λ is 1. Without that, a hundred labels with two errors give a covariance that is mostly noise.
    """
    n, spread = len(hits), float(pool.var(dtype=np.float64))
    covariance = (n * float(np.cov(hits, sure)[0, 1]) + _PRIOR * spread) / (n + _PRIOR)
    variance = (n * float(sure.var(ddof=1)) + _PRIOR * spread) / (n + _PRIOR)
    if variance <= _TINY:
        return 0.0
    return min(1.0, max(0.0, covariance / ((1.0 + n / len(pool)) * variance)))


def bootstrap(
    measure: Measure,
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    factor: float = 1.0,
) -> Estimate:
    """Estimate a metric, with the percentile interval of the bootstrap (Efron 1979).

    The resamples have a fixed seed, so that equal arguments give an equal interval.

    Args:
        measure: the metric.
        probabilities: float [N, C].
        labels: int [N], the true classes.
        factor: see `proportion`; the interval's ends move away from the estimate by its root.

    Returns:
        The estimate; its interval is infinite for fewer than two labels.
    """
    n = len(labels)
    value = measure(probabilities, labels)
    if n < 2:
        return Estimate(value, -math.inf, math.inf, n)
    rows = np.random.default_rng(0).integers(n, size=(_RESAMPLES, n))
    ends = np.quantile([measure(probabilities[row], labels[row]) for row in rows], [0.025, 0.975])
    low, high = (value + math.sqrt(factor) * (ends - value)).tolist()
    return Estimate(value, low, high, n)
