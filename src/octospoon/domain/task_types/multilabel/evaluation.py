"""How good a model with one sigmoid per class is: metrics, what the gate compares, counts of its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.gate_checks import in_classes
from octospoon.domain.task_types.multilabel import estimates, gate, metrics
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.multilabel.predictions import THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.evaluation.gate import Answers, Comparison


class MultilabelEvaluator:
    """Implements `octospoon.domain.task_types.evaluator.Evaluator`. Targets are int64 [N, C] of 0 and 1."""

    comparison: Comparison = gate
    metric_name = "macro_f1"
    metric_title = "macro F1"

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return 1 for each class that a label has, int64 [N, C]."""
        form, position = ClassNames(), {name: i for i, name in enumerate(classes)}
        targets = np.zeros((len(labels), len(classes)), np.int64)
        for row, label in zip(targets, labels, strict=True):
            row[[position[name] for name in form.read(label)]] = 1
        return targets

    def strata(self, targets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the rarest class of each image, counted from 1; 0 for an image without a class."""
        rarity = np.argsort(np.argsort(targets.sum(axis=0), kind="stable"))
        rank = np.where(targets == 1, rarity, targets.shape[1])
        result: npt.NDArray[np.int64] = np.where(targets.any(axis=1), rank.argmin(axis=1) + 1, 0)
        return result

    def right(
        self, probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Return whether the whole set of classes is right, bool [N]."""
        return np.asarray(metrics.hits(probabilities, targets).all(axis=1))

    def confidence(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the probability that the whole set is right if the classes are independent, float [N]."""
        result: npt.NDArray[np.floating] = np.maximum(probabilities, 1 - probabilities).prod(axis=1)
        return result

    def statistics(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the probabilities of the classes."""
        return probabilities

    def predicted_classes(self, statistics: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Return the classes of each image whose probability is at least `THRESHOLD`, bool [N, C]."""
        result: npt.NDArray[np.bool_] = statistics >= THRESHOLD
        return result

    def evaluate(
        self,
        probabilities: npt.NDArray[np.floating],
        targets: npt.NDArray[np.int64],
        pool: npt.NDArray[np.floating] | None = None,
        factor: float = 1.0,
    ) -> Evaluation:
        """Estimate every metric. The confidence over the pool says nothing of macro F1, so it is not used."""
        del pool
        return estimates.evaluate(probabilities, targets, factor)

    def metric(self, probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]) -> float:
        """Return macro F1; NaN for N = 0."""
        return metrics.macro_f1(probabilities, targets)

    def in_classes(self, champion: Answers, classes: tuple[str, ...]) -> npt.NDArray[np.floating] | None:
        """Return a model's probabilities in the order of another class list; classes it lacks have 0."""
        return in_classes(champion, classes)
