"""Compute metrics of a classifier from its probabilities and true labels that it was not trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_TINY = 1e-15


def accuracy(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Return the share of rows whose most probable class is the true one; NaN for N = 0.

    Args:
        probabilities: float [N, C].
        labels: int [N], the true classes.
    """
    return float(np.mean(probabilities.argmax(axis=1) == labels)) if len(labels) else math.nan


def confusion(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the confusion matrix int64 [C, C]: rows are true classes, columns predicted ones.

    Args:
        probabilities: float [N, C].
        labels: int [N], the true classes.
    """
    classes = probabilities.shape[1]
    pairs = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def recall(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of each true class that was recognised, float64 [C]; NaN for a class without images.

    Args:
        matrix: int [C, C], from `confusion`.
    """
    return _divide(matrix.diagonal(), matrix.sum(axis=1))


def precision(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of each predicted class that is right, float64 [C]; NaN for a class never predicted.

    Args:
        matrix: int [C, C], from `confusion`.
    """
    return recall(matrix.T)


def _divide(
    part: npt.NDArray[np.float64] | npt.NDArray[np.int64], whole: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return part / whole, float64 [C]; NaN where the whole is zero."""
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def losses(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the log loss of each row, -log p(true class) in nats, float64 [N].

    Args:
        probabilities: float [N, C]; a zero counts as 1e-15, so that the loss is finite.
        labels: int [N], the true classes.
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    result: npt.NDArray[np.float64] = -np.log(np.maximum(true, _TINY))
    return result


def log_loss(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Return the mean of `losses` in nats; NaN for N = 0."""
    return float(losses(probabilities, labels).mean()) if len(labels) else math.nan


def overconfidence(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """Return mean confidence minus accuracy; NaN for N = 0.

    Args:
        probabilities: float [N, C].
        labels: int [N], the true classes.
    """
    if not len(labels):
        return math.nan
    return float(probabilities.max(axis=1).mean(dtype=np.float64)) - accuracy(probabilities, labels)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy in B bins of equal width over [0, 1].

    Attributes:
        count: int64 [B], number of rows in each bin.
        confidence: float64 [B], mean confidence in each bin; NaN for an empty bin.
        accuracy: float64 [B], accuracy in each bin; NaN for an empty bin.
    """

    count: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    def expected_calibration_error(self) -> float:
        """Return sum of |confidence - accuracy| weighted by count (Guo et al., arXiv 1706.04599, eq. 3)."""
        filled = self.count > 0
        if not filled.any():
            return math.nan
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float(np.average(gaps, weights=self.count[filled]))


def reliability(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], bins: int = 10
) -> Reliability:
    """Bin predictions by their confidence.

    Args:
        probabilities: float [N, C].
        labels: int [N], the true classes.
        bins: number of bins of equal width.
    """
    return calibration(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins)


def calibration(
    confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_], bins: int = 10
) -> Reliability:
    """Bin predictions of any kind by their confidence.

    Args:
        confidence: float [N], in [0, 1].
        right: bool [N], whether each prediction is right.
        bins: number of bins of equal width.
    """
    index = np.minimum((confidence.astype(np.float64) * bins).astype(np.int64), bins - 1)
    count = np.bincount(index, minlength=bins)

    def mean(values: npt.NDArray[np.floating] | npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        sums = np.bincount(index, weights=values.astype(np.float64), minlength=bins)
        return _divide(sums, count)

    return Reliability(count, mean(confidence), mean(right))
