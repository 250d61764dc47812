"""Predict what another batch of labels is worth, with an interval, from a fitted learning curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.metrics import Interval

if TYPE_CHECKING:
    import numpy.typing as npt

WORTH = 0.01
"""The gain in accuracy below which a batch is not worth its labels, unless set otherwise."""
ACCURACY = "accuracy"
"""The metric of models that fine-tuning can improve too."""
GOOD = 0.9
"""At or above this accuracy, the advice does not suggest another backbone."""
FEWEST_POINTS = 3
FEWEST_IMAGES = 20
_POWERS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
RESAMPLES = 1000
"""Resamples of the bootstrap over images."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expected gain of another batch.

    Attributes:
        labels: number of training labels in that batch.
        gain: expected gain in accuracy, or in another metric, as a share.
        interval: 95 % interval of the gain.
        worth: the gain below which a batch is not worth its labels.
        accuracy: this metric of the newest model on the sample, as a share.
        metric: this metric in words.
    """

    labels: int
    gain: float
    interval: Interval
    worth: float = WORTH
    accuracy: float = 1.0
    metric: str = ACCURACY

    @property
    def stop(self) -> bool:
        """True if the whole interval of the gain is below `worth`."""
        return self.interval.high < self.worth

    def __str__(self) -> str:
        if self.stop:
            advice = "labelling more of the same is no longer expected to help"
        else:
            advice = "go on" if self.interval.low >= self.worth else "too early to stop"
        low, high = 100 * self.interval.low, 100 * self.interval.high
        return (
            f"{advice}: {self.labels} more training labels are expected to bring "
            f"{100 * self.gain:.1f} points (95 % interval {low:.1f} to {high:.1f}){self._next()}"
        )

    def _next(self) -> str:
        """Return a clause that says what to try if labels no longer help and the accuracy is poor."""
        if not self.stop or self.accuracy >= GOOD:
            return ""
        fine_tuning = ", or Trainer=finetune" if self.metric == ACCURACY else ""
        reached = f"{100 * self.accuracy:.0f} % {self.metric}"
        return (
            f"; at {reached} the backbone limits the model: "
            f"next, try another backbone (`octospoon backbone use`){fine_tuning}"
        )


def resampled(correct: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return errors float64 [1 + B, R] of R models: on a sample, and on B = RESAMPLES resamples of it.

    Args:
        correct: bool [R, N], whether each model is right on each image.
    """
    # Images that every model answers alike are one kind, so a resample is one multinomial draw of
    # counts. There are few kinds for any number of images.
    images = correct.shape[1]
    kinds, counts = np.unique(~correct, axis=1, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(images, counts / images, RESAMPLES)
    errors: npt.NDArray[np.float64] = np.concatenate([counts[np.newaxis], drawn]) @ kinds.T / images
    return errors


def expect(
    labels: npt.NDArray[np.int64], errors: npt.NDArray[np.float64], more: int, worth: float = WORTH
) -> Expectation:
    """Return the expected gain in accuracy, or another metric, of more labels.

    The error is fitted as a + b·n^-c with a, b >= 0 (the power law of learning curves: Cortes et al. 1993,
    Learning curves: asymptotic values and rate of convergence). The interval is a percentile bootstrap over
    the images of the sample. It does not cover chance in the training labels.

    Args:
        labels: int64 [R], ascending, the number of training labels of each model; R >= FEWEST_POINTS.
        errors: float64 [1 + B, R], the error of each model on a uniform sample of at least FEWEST_IMAGES
            images, and on B resamples of it, as from `resampled`.
        more: the number of labels to add.
        worth: the gain below which they are not worth it, as a share.
    """
    gain, *gains = _gains(labels, errors, more).tolist()
    low, high = np.quantile(gains, [0.025, 0.975])
    interval = Interval(float(low), float(high))
    return Expectation(more, gain, interval, worth, accuracy=1.0 - float(errors[0, -1]))


def _gains(
    labels: npt.NDArray[np.int64], errors: npt.NDArray[np.float64], more: int
) -> npt.NDArray[np.float64]:
    """Fit each error curve and return its predicted fall over the next labels, float64 [B].

    For a fixed power c the fit of a + b·n^-c is linear least squares, so a few powers are tried and the best
    one is kept. If a would be negative, the fit is repeated with a = 0; b is cut off at 0.

    Args:
        labels: int64 [R], numbers of training labels.
        errors: float64 [B, R], one error curve per row.
        more: the number of labels to add.
    """
    best, gains = np.full(len(errors), np.inf), np.zeros(len(errors))
    for power in _POWERS:
        x = labels.astype(np.float64) ** -power
        middle = errors.mean(axis=1)
        slope = np.maximum((errors - middle[:, np.newaxis]) @ (x - x.mean()) / np.var(x) / len(x), 0.0)
        through_zero = middle - slope * x.mean() < 0
        slope = np.where(through_zero, errors @ x / (x @ x), slope)
        offset = np.where(through_zero, 0.0, middle - slope * x.mean())
        fitted = offset[:, np.newaxis] + slope[:, np.newaxis] * x
        misfit = ((errors - fitted) ** 2).sum(axis=1)
        fall = slope * (float(labels[-1]) ** -power - float(labels[-1] + more) ** -power)
        gains, best = np.where(misfit < best, fall, gains), np.minimum(misfit, best)
    return gains
