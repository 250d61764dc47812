"""How good a classifier is: its metrics, what the gate compares, and the statistics of its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.gate_checks import in_classes
from octospoon.domain.task_types.classification import estimates, gate, metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.evaluation.gate import Answers, Comparison


class ClassificationEvaluator:
    """Implements `octospoon.domain.task_types.evaluator.Evaluator`. Targets are positions of classes."""

    comparison: Comparison = gate
    metric_name = "accuracy"
    metric_title = "accuracy"

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the position of each label in the class list, int64 [N]."""
        position = {name: i for i, name in enumerate(classes)}
        return np.array([position[label] for label in labels], np.int64)

    def strata(self, targets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the class of each image."""
        return targets

    def right(
        self, probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Return whether the most probable class is the true one, bool [N]."""
        result: npt.NDArray[np.bool_] = probabilities.argmax(axis=1) == targets
        return result

    def confidence(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the probability of the most probable class, float [N]."""
        result: npt.NDArray[np.floating] = probabilities.max(axis=1)
        return result

    def statistics(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the probabilities of the classes."""
        return probabilities

    def predicted_classes(self, statistics: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Return the most probable class of each image, bool [N, C]."""
        result: npt.NDArray[np.bool_] = statistics.argmax(axis=1)[:, np.newaxis] == np.arange(
            statistics.shape[1]
        )
        return result

    def evaluate(
        self,
        probabilities: npt.NDArray[np.floating],
        targets: npt.NDArray[np.int64],
        pool: npt.NDArray[np.floating] | None = None,
        factor: float = 1.0,
    ) -> Evaluation:
        """Estimate every metric."""
        return estimates.evaluate(probabilities, targets, pool, factor)

    def metric(self, probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]) -> float:
        """Return the accuracy; NaN for N = 0."""
        return metrics.accuracy(probabilities, targets)

    def in_classes(self, champion: Answers, classes: tuple[str, ...]) -> npt.NDArray[np.floating] | None:
        """Return a model's probabilities in the order of another class list; classes it lacks have 0."""
        return in_classes(champion, classes)
