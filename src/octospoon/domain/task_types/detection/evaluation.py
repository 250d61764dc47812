"""How good a detector is: its metrics, what the gate compares, and the statistics of its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.gate_checks import in_classes
from octospoon.domain.task_types.detection import estimates, gate, predictions, statistics
from octospoon.domain.task_types.detection.average_precision import average_precision, mean_over_classes
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.task_types.detection.matching import match
from octospoon.domain.task_types.detection.predictions import THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.evaluation.gate import Answers, Comparison


class DetectionEvaluator:
    """Implements `octospoon.domain.task_types.evaluator.Evaluator`.

    Predictions are float [N, K, 4 + C]. Targets are float64 [N, M, 5]: x1, y1, x2, y2 and the position of the
    class, which is -1 in the rows that fill up an image with fewer than M objects.
    """

    comparison: Comparison = gate
    metric_name = "ap50"
    metric_title = "AP50"

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the boxes of labels, float64 [N, M, 5]."""
        form, position = Boxes(), {name: i for i, name in enumerate(classes)}
        drawn = [form.read(label) for label in labels]
        targets = np.zeros((len(drawn), max(map(len, drawn), default=0), 5))
        targets[..., 4] = -1
        for rows, boxes in zip(targets, drawn, strict=True):
            for row, (name, *place) in zip(rows, boxes, strict=False):
                row[:] = *place, position[name]
        return targets

    def strata(self, targets: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the rarest class of each image, counted from 1; 0 for an image without objects."""
        classes = int(targets[..., 4].max(initial=-1)) + 1
        there = (targets[..., 4, np.newaxis] == np.arange(classes)).any(axis=1)
        rarity = np.argsort(np.argsort(there.sum(axis=0), kind="stable"))
        rank = np.where(there, rarity, classes)
        if not classes:
            return np.zeros(len(targets), np.int64)
        result: npt.NDArray[np.int64] = np.where(there.any(axis=1), rank.argmin(axis=1) + 1, 0)
        return result

    def right(
        self, probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Return whether the shown boxes are all hits, and find all objects of the image, bool [N]."""
        matches = match(probabilities, targets)
        shown = matches.scores >= THRESHOLD
        count = len(matches.objects)
        hits = np.bincount(matches.images[shown & matches.hits[:, 0]], minlength=count)
        drawn = np.bincount(matches.images[shown], minlength=count)
        result: npt.NDArray[np.bool_] = (hits == drawn) & (hits == matches.objects.sum(axis=1))
        return result

    def confidence(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the probability that every detection is rightly shown or left out, float [N]."""
        return predictions.confidence(probabilities)

    def statistics(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the largest score of each class, and the number and the scores of the boxes."""
        return statistics.of_predictions(probabilities)

    def predicted_classes(self, numbers: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Return the classes of which a box is shown, bool [N, C]."""
        return statistics.shown_classes(numbers)

    def evaluate(
        self,
        probabilities: npt.NDArray[np.floating],
        targets: npt.NDArray[np.float64],
        pool: npt.NDArray[np.floating] | None = None,
        factor: float = 1.0,
    ) -> Evaluation:
        """Estimate every metric. The confidence over the pool says nothing of AP50, so it is not used."""
        del pool
        return estimates.evaluate(probabilities, targets, factor)

    def metric(self, probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.float64]) -> float:
        """Return AP50, its mean over the classes that have objects; NaN without objects."""
        precision = average_precision(match(probabilities, targets))
        return float(mean_over_classes(precision[..., 0])[0])

    def in_classes(self, champion: Answers, classes: tuple[str, ...]) -> npt.NDArray[np.floating] | None:
        """Return a model's predictions with the scores in the order of another class list."""
        return in_classes(champion, classes, predictions.COORDINATES)
