"""Measures a new model and the one in service on the audit share, and asks the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation import gate, metrics
from octospoon.domain.evaluation.estimators import evaluate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Evaluation


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said, and what it looked at.

    Attributes:
        decision: of the gate.
        probabilities: float32 [N, C], the new model's, on the N audit images.
        champion: the same of the model in service; None where it has no head, or other classes.
        evaluation: the new model's measures.
    """

    decision: gate.Decision
    probabilities: npt.NDArray[np.floating]
    champion: npt.NDArray[np.floating] | None
    evaluation: Evaluation

    def metrics(self, labels: npt.NDArray[np.int64]) -> dict[str, float]:
        """Return the measures on the audit share, int [N], by name; none where N = 0."""
        if not len(labels):
            return {}
        found = self.evaluation.metrics()
        if self.champion is not None:
            found["champion_audit_accuracy"] = metrics.accuracy(self.champion, labels)
        return found


def judge(
    challenger: gate.Answers,
    champion: gate.Answers,
    labels: npt.NDArray[np.int64],
    pool: npt.NDArray[np.floating] | None,
    rules: gate.Rules,
) -> Judged:
    """Ask the gate about a new model that has answered on the audit images, and measure it.

    Args:
        challenger: the new model.
        champion: the one in service.
        labels: int [N], the audit labels.
        pool: float [M, C], the new model's answers on a sample of all uploads; None where there is none.
        rules: of the gate.

    Raises:
        BadModel: the new model gave no answers.
    """
    if challenger.probabilities is None:
        raise BadModel("the new model gives no probabilities")
    decision = gate.decide(challenger, champion, labels, rules)
    measured = evaluate(challenger.probabilities, labels, pool)
    # classes of the model in service that the new one lacks are a refusal already
    known = set(champion.spec.classes) <= set(challenger.spec.classes)
    before = gate.in_classes(champion, challenger.spec.classes) if known else None
    return Judged(decision, challenger.probabilities, before, measured)
