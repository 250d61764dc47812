"""Honest estimates of how good a model is, with intervals, from labels drawn at random.

Labels that a strategy chose say nothing of the whole pool, and labels that a model was trained on nothing of
new pictures; so only the audit share is looked at. Where the rest of the pool still resembles it, the model's
own confidence over the pool narrows the interval, and cannot bias it (PPI++).
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
"""Share of the uploads taken out by a strategy above which what is left is too easy to stand for them all."""
_PRIOR = 20.0
_RESAMPLES = 500
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure, its 95 % interval, and the number of labels that it comes from (NaN and [0, 1] for none)."""

    value: float
    low: float
    high: float
    labels: int


class Measure(Protocol):
    """A measure of predictions against the truth."""

    def __call__(self, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
        """Return one number for float [N, C] and int [N]."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a model is.

    Attributes:
        accuracy: the best estimate.
        audit_accuracy: from the audit labels alone, with Wilson's interval.
        log_loss: in nats.
        calibration_error: expected calibration error; of few labels it is too large (its interval shows it).
        overconfidence: mean confidence less accuracy.
        recall: of each class, Wilson's interval.
    """

    accuracy: Estimate
    audit_accuracy: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    overconfidence: Estimate
    recall: tuple[Estimate, ...]

    def metrics(self) -> dict[str, float]:
        """Return every finite number by a name such as ``accuracy_low``, without recalls."""
        names = ("accuracy", "audit_accuracy", "log_loss", "calibration_error", "overconfidence")
        found: dict[str, float] = {}
        for name in names:
            estimate: Estimate = getattr(self, name)
            found |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def evaluate(
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    pool: npt.NDArray[np.floating] | None = None,
) -> Evaluation:
    """Estimate a model's measures.

    Args:
        probabilities: float [N, C], the model's answers on N images that were drawn uniformly and that it was
            not trained on.
        labels: int [N], their true classes.
        pool: float [M, C], its answers on a uniform sample of all uploads that it was not trained on; None
            where there is none that resembles the audit share.
    """
    right = probabilities.argmax(axis=1) == labels
    alone = proportion(int(right.sum()), len(labels))
    best = alone
    if pool is not None and len(pool) and len(labels) > 1:
        best = prediction_powered(right, probabilities.max(axis=1), pool.max(axis=1))
    matrix = metrics.confusion(probabilities, labels)
    return Evaluation(
        accuracy=best,
        audit_accuracy=alone,
        log_loss=bootstrap(metrics.log_loss, probabilities, labels),
        calibration_error=bootstrap(_calibration_error, probabilities, labels),
        overconfidence=bootstrap(metrics.overconfidence, probabilities, labels),
        recall=tuple(
            proportion(int(hits), int(n))
            for hits, n in zip(matrix.diagonal(), matrix.sum(axis=1), strict=True)
        ),
    )


def proportion(correct: int, n: int) -> Estimate:
    """Return a share of n labels with Wilson's interval."""
    interval = metrics.wilson(correct, n)
    return Estimate(correct / n if n else math.nan, interval.low, interval.high, n)


def prediction_powered(
    right: npt.NDArray[np.bool_], confidence: npt.NDArray[np.floating], pool: npt.NDArray[np.floating]
) -> Estimate:
    """Return the accuracy by PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453).

    The estimate is λ·mean(pool) + mean(right - λ·confidence), without bias whatever the confidence is worth;
    λ = Cov(right, confidence) / ((1 + n/M)·Var(confidence)), between 0 and 1. Covariance and variance are
    taken as if _PRIOR more labels had agreed with a calibrated confidence, for which λ would be 1: a hundred
    labels with two errors say little of a covariance. The interval is Wilson's at the effective number of
    labels (as for samples of surveys, Korn and Graubard 1998), so that it holds near accuracy 1 as well.

    Args:
        right: bool [n], n >= 2, whether each answer on the audit share was right.
        confidence: float [n], the model's in these answers.
        pool: float [M], its confidence over the uploads.
    """
    hits, sure, n = right.astype(np.float64), confidence.astype(np.float64), len(right)
    spread = float(pool.var(dtype=np.float64))
    covariance = (n * float(np.cov(hits, sure)[0, 1]) + _PRIOR * spread) / (n + _PRIOR)
    variance = (n * float(sure.var(ddof=1)) + _PRIOR * spread) / (n + _PRIOR)
    share = n / len(pool)
    weight = min(1.0, max(0.0, covariance / ((1.0 + share) * variance))) if variance > _TINY else 0.0
    rest = hits - weight * sure
    value = min(1.0, max(0.0, weight * float(pool.mean(dtype=np.float64)) + float(rest.mean())))
    alone = float(hits.var(ddof=1))
    left = float(rest.var(ddof=1)) + weight**2 * spread * share
    effective = n * alone / left if alone > left else float(n)
    interval = metrics.wilson(value * effective, effective)
    low, high = interval.low, interval.high
    if not alone:  # no error seen: none need exist
        plain = proportion(int(hits.sum()), n)
        low, high = min(low, plain.low), max(high, plain.high)
    return Estimate(value, low, high, n)


def bootstrap(
    measure: Measure, probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> Estimate:
    """Return a measure with the percentile interval of the bootstrap (Efron 1979); the same each time."""
    n = len(labels)
    value = measure(probabilities, labels)
    if n < 2:
        return Estimate(value, -math.inf, math.inf, n)
    rows = np.random.default_rng(0).integers(n, size=(_RESAMPLES, n))
    low, high = np.quantile([measure(probabilities[row], labels[row]) for row in rows], [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


def _calibration_error(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    return metrics.reliability(probabilities, labels).expected_calibration_error()
