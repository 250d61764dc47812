"""Estimate every metric of a detector, with intervals, from labels drawn at random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.estimators import Estimate, Evaluation
from octospoon.domain.task_types.detection.intervals import average_precisions, bootstrap, share
from octospoon.domain.task_types.detection.matching import match
from octospoon.domain.task_types.detection.predictions import DOUBTFUL, THRESHOLD

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.task_types.detection.matching import Matches

_BINS = 10
_TINY = 1e-15


@dataclass(frozen=True, slots=True)
class DetectionEvaluation(Evaluation):
    """Estimates of every metric; `accuracy` and `audit_accuracy` are AP50, its mean over the classes.

    `log_loss`, `calibration_error` and `overconfidence` ask of every detection whether it is an object. The
    `recall` of a class is the share of its objects that the shown boxes find.

    Attributes:
        average_precision: AP50:95, the mean over ten thresholds of the overlap and over the classes.
        class_ap50: AP50 of each class.
        class_average_precision: AP50:95 of each class.
    """

    average_precision: Estimate
    class_ap50: tuple[Estimate, ...]
    class_average_precision: tuple[Estimate, ...]

    def metrics(self) -> dict[str, float]:
        """Return every finite number by name, those of classes excepted; AP50 has its own name."""
        numbers = {
            name.replace("accuracy", "ap50"): value for name, value in Evaluation.metrics(self).items()
        }
        whole = self.average_precision
        numbers |= {"ap50_95": whole.value, "ap50_95_low": whole.low, "ap50_95_high": whole.high}
        return {name: value for name, value in numbers.items() if math.isfinite(value)}


def evaluate(
    predictions: npt.NDArray[np.floating], targets: npt.NDArray[np.float64], factor: float = 1.0
) -> DetectionEvaluation:
    """Estimate every metric; the figure for the whole model is AP50.

    Args:
        predictions: float [N, K, 4 + C], for N images that were drawn uniformly, each from a head of the
            model that was not trained on the image; one with a number that is not finite, which the gate
            refuses, counts as without detections.
        targets: float64 [N, M, 5], their true boxes.
        factor: see `octospoon.domain.evaluation.estimators.proportion`.
    """
    finite = np.isfinite(predictions).all(axis=(1, 2), keepdims=True)
    matches = match(np.where(finite, predictions, 0), targets)
    ap50, whole, of_classes, whole_of_classes = average_precisions(matches, factor)
    sums = _per_image(matches)
    return DetectionEvaluation(
        accuracy=ap50,
        audit_accuracy=ap50,
        log_loss=bootstrap(_ratio, sums[:, [0, 1]], factor),
        calibration_error=bootstrap(_calibration_error, sums[:, 3:], factor),
        overconfidence=bootstrap(_ratio, sums[:, [0, 2]], factor),
        recall=_recall(matches, factor),
        average_precision=whole,
        class_ap50=of_classes,
        class_average_precision=whole_of_classes,
    )


def _per_image(matches: Matches) -> npt.NDArray[np.float64]:
    """Return sums over the detections of each image at `DOUBTFUL` or above, float64 [N, 3 + 3 * _BINS].

    These are the number, the log loss and the score minus the hit of the detections; then number, score and
    hits in each bin of the score.
    """
    kept = matches.scores >= DOUBTFUL
    scores, hits = matches.scores[kept].clip(0, 1), matches.hits[kept, 0].astype(np.float64)
    true = np.where(hits > 0, scores, 1.0 - scores)
    columns = np.column_stack([np.ones(len(scores)), -np.log(np.maximum(true, _TINY)), scores - hits])
    of_bin = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)[:, np.newaxis] == np.arange(_BINS)
    binned = [of_bin, of_bin * scores[:, np.newaxis], of_bin * hits[:, np.newaxis]]
    sums = np.zeros((len(matches.objects), 3 + 3 * _BINS))
    np.add.at(sums, matches.images[kept], np.concatenate([columns, *binned], axis=1))
    return sums


def _ratio(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the second column over the first, float64 [B]; NaN for zero."""
    result = np.full(len(sums), np.nan)
    np.divide(sums[:, 1], sums[:, 0], out=result, where=sums[:, 0] > 0)
    return result


def _calibration_error(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the expected calibration error of detections, float64 [B].

    It is that of Küppers et al. 2020 (arXiv 2004.13546), by the score alone.

    Args:
        sums: float64 [B, 3 * _BINS], number, score and hits in each bin of the score.
    """
    count, score, hits = np.split(sums, 3, axis=1)
    total = count.sum(axis=1)
    return _ratio(np.column_stack([total, np.abs(score - hits).sum(axis=1)]))


def _recall(matches: Matches, factor: float) -> tuple[Estimate, ...]:
    """Return the share of each class's objects that the shown boxes find at an overlap of one half."""
    recalled = np.zeros_like(matches.objects)
    kept = matches.hits[:, 0] & (matches.scores >= THRESHOLD)
    np.add.at(recalled, (matches.images[kept], matches.classes[kept]), 1)
    return tuple(share(*pair, factor) for pair in zip(recalled.T, matches.objects.T, strict=True))
