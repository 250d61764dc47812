"""Evaluate a new model and the one in service on the audit share, and ask the promotion gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation import gate
from octospoon.domain.labelling.class_translation import translation
from octospoon.domain.task_types.detection.estimates import DetectionEvaluation
from octospoon.training.evaluation import coco

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.task_types.evaluator import Evaluator
    from octospoon.training.context import TrainingPorts


@dataclass(frozen=True, slots=True)
class Judged:
    """The gate's decision about a model, and the data behind it.

    Attributes:
        decision: the gate's decision.
        probabilities: float32 [N, C], the new model's probabilities for the N audit images, each from a head
            that was not trained on the image.
        champion: float32 [N, C], those of the model in service, NaN for images that no head of it can judge;
            None if it has no head, or has classes that the new model lacks.
        evaluation: estimates of the new model's metrics.
        evaluator: of the task type.
    """

    decision: gate.Decision
    probabilities: npt.NDArray[np.floating]
    champion: npt.NDArray[np.floating] | None
    evaluation: Evaluation
    evaluator: Evaluator

    def metrics(self, labels: gate.Targets) -> dict[str, float]:
        """Return the metrics on the audit share, by name.

        Args:
            labels: the audit labels of N images; the result is empty for N = 0.
        """
        if not len(labels):
            return {}
        values = self.evaluation.metrics()
        if self.champion is not None:
            judged = np.isfinite(self.champion.reshape(len(labels), -1)).all(axis=1)
            figure = self.evaluator.metric(self.champion[judged], labels[judged])
            values[f"champion_audit_{self.evaluator.metric_name}"] = figure
        return values


def judge(
    evaluator: Evaluator,
    challenger: gate.Answers,
    champion: gate.Answers,
    labels: gate.Targets,
    pool: npt.NDArray[np.floating] | None,
    rules: gate.Rules,
    factor: float = 1.0,
) -> Judged:
    """Ask the gate about a new model and estimate its metrics.

    Args:
        evaluator: of the task type.
        challenger: the new model's answers on the audit images.
        champion: those of the model in service.
        labels: the audit labels of N images.
        pool: float [M], the new model's confidence for a sample of all uploads; None without one.
        rules: the gate's limits.
        factor: see `Evaluator.evaluate`.

    Raises:
        BadModel: the new model gives no probabilities, or another program measures another average precision.
    """
    if challenger.probabilities is None:
        raise BadModel("the new model gives no probabilities")
    decision = gate.decide(evaluator.comparison, challenger, champion, labels, rules)
    evaluation = evaluator.evaluate(challenger.probabilities, labels, pool, factor)
    if isinstance(evaluation, DetectionEvaluation):
        coco.check(evaluation, challenger.probabilities, labels)
    # If the new model lacks a class, the gate has refused it, and there is nothing to compare.
    known = set(champion.spec.classes) <= set(challenger.spec.classes)
    before = evaluator.in_classes(champion, challenger.spec.classes) if known else None
    return Judged(decision, challenger.probabilities, before, evaluation, evaluator)


def for_project(decision: gate.Decision, classes: Sequence[str], ports: TrainingPorts) -> gate.Decision:
    """Return the decision, or a refusal if the project has classes by now that the model does not know.

    Args:
        decision: of the gate.
        classes: names of the new model's classes.
        ports: of the job.
    """
    history = ports.class_history()
    project = history.names if history.changes else ports.control.state().project_classes
    return gate.of_project(decision, translation(history, classes).names, project)
