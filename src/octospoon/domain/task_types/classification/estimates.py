"""Estimate every metric of a classifier, with intervals, from labels drawn at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.evaluation.estimators import Evaluation, bootstrap, prediction_powered, proportion
from octospoon.domain.task_types.classification import metrics

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def evaluate(
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    pool: npt.NDArray[np.floating] | None = None,
    factor: float = 1.0,
) -> Evaluation:
    """Estimate every metric of a model.

    Args:
        probabilities: float [N, C], probabilities for N images that were drawn uniformly, each from a head of
            the model that was not trained on the image.
        labels: int [N], their true classes.
        pool: float [M], the mean confidence of these heads for a uniform sample of all uploads that none was
            trained on; None if there is no such sample.
        factor: how much larger the variances are than those of N independent labels; see
            `TrainingRecord.variance_factor`.
    """
    right = probabilities.argmax(axis=1) == labels
    alone = proportion(int(right.sum()), len(labels), factor)
    best = alone
    if pool is not None and len(pool) and len(labels) > 1:
        best = prediction_powered(right, probabilities.max(axis=1), pool, factor)
    matrix = metrics.confusion(probabilities, labels)
    return Evaluation(
        accuracy=best,
        audit_accuracy=alone,
        log_loss=bootstrap(metrics.log_loss, probabilities, labels, factor),
        calibration_error=bootstrap(_calibration_error, probabilities, labels, factor),
        overconfidence=bootstrap(metrics.overconfidence, probabilities, labels, factor),
        recall=tuple(
            proportion(int(hits), int(n), factor)
            for hits, n in zip(matrix.diagonal(), matrix.sum(axis=1), strict=True)
        ),
    )


def _calibration_error(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    return metrics.reliability(probabilities, labels).expected_calibration_error()
