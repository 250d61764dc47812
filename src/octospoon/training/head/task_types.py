"""The task types whose models have a head: how a job compares heads of each.

Heads of one activation are compared on the same images. Predictions are float [N, C], targets int64 with N
rows, as `octospoon.domain.task_types.evaluator.Evaluator` has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.errors import NotConfigured
from octospoon.domain.evaluation import stopping
from octospoon.domain.evaluation.metrics import Interval, paired_difference
from octospoon.domain.model_spec import SIGMOID, SOFTMAX
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.classification import metrics as of_one_class
from octospoon.domain.task_types.multilabel import MULTILABEL, gate, resampling
from octospoon.domain.task_types.multilabel import metrics as of_classes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.task_types.evaluator import Evaluator
    from octospoon.domain.task_types.task_type import TaskType

    Floats = npt.NDArray[np.floating]
    Targets = npt.NDArray[np.int64]


class HeadTask(Protocol):
    """How heads of one activation are measured and compared."""

    @property
    def task_type(self) -> TaskType:
        """The task type."""

    @property
    def evaluator(self) -> Evaluator:
        """That of the task type."""

    def log_loss(self, probabilities: Floats, targets: Targets) -> float:
        """Return the mean log loss in nats; NaN for N = 0."""

    def naive(self, targets: Targets, classes: int) -> float:
        """Return `Evaluator.metric` of a model that gives the same answer for every image; N >= 1."""

    def lead(self, new: Floats, old: Floats, targets: Targets) -> Interval:
        """Return the 95 % interval of the difference of two heads' `Evaluator.metric` on the same images."""

    def errors(self, probabilities: Sequence[Floats], targets: Targets) -> npt.NDArray[np.float64]:
        """Return 1 - `Evaluator.metric` of R heads, float64 [1 + B, R]: of the images, and of B resamples."""


class OneClass:
    """Implements `HeadTask` for softmaxes."""

    task_type: TaskType = CLASSIFICATION
    evaluator = CLASSIFICATION.evaluator

    def log_loss(self, probabilities: Floats, targets: Targets) -> float:
        """Return the mean log loss."""
        return of_one_class.log_loss(probabilities, targets)

    def naive(self, targets: Targets, classes: int) -> float:
        """Return the share of the most frequent class."""
        return float(np.bincount(targets, minlength=classes).max() / len(targets))

    def lead(self, new: Floats, old: Floats, targets: Targets) -> Interval:
        """Return the interval of the difference in accuracy."""
        return paired_difference(self.evaluator.right(new, targets), self.evaluator.right(old, targets))

    def errors(self, probabilities: Sequence[Floats], targets: Targets) -> npt.NDArray[np.float64]:
        """Return the shares of wrong predictions."""
        return stopping.resampled(
            np.stack([self.evaluator.right(answers, targets) for answers in probabilities])
        )


class AnyClasses:
    """Implements `HeadTask` for sigmoids."""

    task_type: TaskType = MULTILABEL
    evaluator = MULTILABEL.evaluator

    def log_loss(self, probabilities: Floats, targets: Targets) -> float:
        """Return the mean log loss of a class."""
        return of_classes.log_loss(probabilities, targets)

    def naive(self, targets: Targets, classes: int) -> float:
        """Return macro F1 of predicting every class."""
        return self.evaluator.metric(np.ones((len(targets), classes)), targets)

    def lead(self, new: Floats, old: Floats, targets: Targets) -> Interval:
        """Return the interval of the difference in macro F1, by a paired bootstrap."""
        return gate.paired_bootstrap(new, old, targets).interval

    def errors(self, probabilities: Sequence[Floats], targets: Targets) -> npt.NDArray[np.float64]:
        """Return 1 - macro F1."""
        count = len(targets)
        weights = np.concatenate([np.ones((1, count)), resampling.drawn(count, stopping.RESAMPLES)])
        return 1.0 - np.column_stack(
            [resampling.macro_f1s(answers, targets, weights) for answers in probabilities]
        )


HEAD_TASKS: Mapping[str, HeadTask] = {SOFTMAX: OneClass(), SIGMOID: AnyClasses()}
"""The task of each activation."""


def activation_of(task_type: TaskType) -> str:
    """Return the activation of the heads of a task type, one of `octospoon.domain.model_spec.ACTIVATIONS`.

    Raises:
        NotConfigured: a head on embeddings cannot learn these labels.
    """
    if task_type.activation in HEAD_TASKS:
        return task_type.activation
    raise NotConfigured(f"Trainer=head cannot learn labels of TaskType={task_type.name}: set another Trainer")
