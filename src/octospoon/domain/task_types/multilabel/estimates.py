"""Estimate every metric of a model with one sigmoid per class, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.estimators import Estimate, Evaluation, bootstrap, proportion
from octospoon.domain.task_types.multilabel import intervals, metrics
from octospoon.domain.task_types.multilabel.predictions import THRESHOLD

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class MultilabelEvaluation(Evaluation):
    """Estimates of every metric; `accuracy` and `audit_accuracy` are macro F1.

    Attributes:
        precision: the precision of each class, with Wilson's interval.
        micro_f1: F1 of all decisions together.
        subset_accuracy: the share of images whose whole set of classes is right.
    """

    precision: tuple[Estimate, ...]
    micro_f1: Estimate
    subset_accuracy: Estimate

    def metrics(self) -> dict[str, float]:
        """Return every finite number by name; macro F1 has its own name."""
        numbers = {
            name.replace("accuracy", "macro_f1"): value for name, value in Evaluation.metrics(self).items()
        }
        for name, estimate in (("micro_f1", self.micro_f1), ("subset_accuracy", self.subset_accuracy)):
            numbers |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return {name: value for name, value in numbers.items() if math.isfinite(value)}


def evaluate(
    probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], factor: float = 1.0
) -> MultilabelEvaluation:
    """Estimate every metric; the figure for the whole model is macro F1.

    Args:
        probabilities: float [N, C], for N images that were drawn uniformly, each from a head of the model
            that was not trained on the image.
        targets: int [N, C], their true classes.
        factor: how much larger the variances are than those of N independent labels; see
            `TrainingRecord.variance_factor`.
    """
    macro = _macro_f1(probabilities, targets, factor)
    predicted, present = probabilities >= THRESHOLD, targets == 1
    both = (predicted & present).sum(axis=0).tolist()
    whole = np.all(metrics.hits(probabilities, targets), axis=1)
    return MultilabelEvaluation(
        accuracy=macro,
        audit_accuracy=macro,
        log_loss=bootstrap(metrics.log_loss, probabilities, targets, factor),
        calibration_error=bootstrap(metrics.calibration_error, probabilities, targets, factor),
        overconfidence=bootstrap(metrics.overconfidence, probabilities, targets, factor),
        recall=_shares(both, present, factor),
        precision=_shares(both, predicted, factor),
        micro_f1=bootstrap(metrics.micro_f1, probabilities, targets, factor),
        subset_accuracy=proportion(int(whole.sum()), len(targets), factor),
    )


def _macro_f1(
    probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], factor: float
) -> Estimate:
    """Estimate macro F1; its ends move away from the estimate by the root of the factor, up to 0 and 1."""
    if not len(targets):
        return Estimate(math.nan, 0.0, 1.0, 0)
    value, interval = metrics.macro_f1(probabilities, targets), intervals.macro_f1(probabilities, targets)
    low, high = (value + math.sqrt(factor) * (end - value) for end in (interval.low, interval.high))
    return Estimate(value, max(0.0, min(low, value)), min(1.0, max(high, value)), len(targets))


def _shares(both: list[int], of: npt.NDArray[np.bool_], factor: float) -> tuple[Estimate, ...]:
    """Return the share of hits among the images of each class, with Wilson's interval."""
    counts = of.sum(axis=0).tolist()
    return tuple(proportion(hits, count, factor) for hits, count in zip(both, counts, strict=True))
