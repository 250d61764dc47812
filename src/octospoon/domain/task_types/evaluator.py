"""Define how good the models of a task type are: metrics, what the gate compares, statistics of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.evaluation.gate import Answers, Comparison, Targets


class Evaluator(Protocol):
    """How good the models of a task type are.

    Predictions are float [N, C], or [N, K, 4 + C] with boxes. Targets are an array with N rows: positions of
    classes are int64, boxes float64.
    """

    @property
    def comparison(self) -> Comparison:
        """How the gate compares two models: a module of the task type."""

    @property
    def metric_name(self) -> str:
        """The name of `metric` in files, such as macro_f1."""

    @property
    def metric_title(self) -> str:
        """The name of `metric` in sentences, such as macro F1."""

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> Targets:
        """Return labels as an array whose first axis is the images.

        Args:
            labels: N labels in their stored form, of these classes alone.
            classes: the class list of a model.
        """

    def strata(self, targets: Targets) -> npt.NDArray[np.int64]:
        """Return a number of each image, int64 [N], >= 0; folds get the same share of every number."""

    def right(self, probabilities: npt.NDArray[np.floating], targets: Targets) -> npt.NDArray[np.bool_]:
        """Return whether each prediction is the label, bool [N]."""

    def confidence(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the model's certainty that its prediction is the label, float [N] in [0, 1]."""

    def statistics(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the numbers of each prediction whose distributions drift compares, float [N, S].

        Those of an image depend on its own prediction alone, as the pool stores it.
        """

    def predicted_classes(self, statistics: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Return which classes are predicted for each image, bool [N, C]; drift compares their shares.

        Args:
            statistics: float [N, S], see `statistics`.
        """

    def evaluate(
        self,
        probabilities: npt.NDArray[np.floating],
        targets: Targets,
        pool: npt.NDArray[np.floating] | None = None,
        factor: float = 1.0,
    ) -> Evaluation:
        """Estimate every metric of a model, with intervals.

        Args:
            probabilities: float [N, C], probabilities for N images that were drawn uniformly, each from a
                head of the model that was not trained on the image.
            targets: their true labels.
            pool: float [M], the mean `confidence` of these heads for a uniform sample of all uploads that
                none was trained on; None if there is no such sample.
            factor: how much larger the variances are than those of N independent labels; see
                `TrainingRecord.variance_factor`.
        """

    def metric(self, probabilities: npt.NDArray[np.floating], targets: Targets) -> float:
        """Return the figure that stands for a model's quality, in [0, 1]; NaN for N = 0."""

    def in_classes(self, champion: Answers, classes: tuple[str, ...]) -> npt.NDArray[np.floating] | None:
        """Return a model's probabilities in the order of another class list.

        Args:
            champion: the model's answers, float [N, B].
            classes: C class names, among them all B of the model.

        Returns:
            float [N, C], or None if the model has no probabilities.
        """
