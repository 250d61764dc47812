"""Measures a new model and the one in service on the audit share, and asks the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain import evaluation, promotion
from octospoon.domain.errors import BadModel

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.ports import Scorer

_TOLERANCE = 1e-4


class HeadScorer(Protocol):
    """A loaded head file."""

    def run(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D]; raises BadModel."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said, and what it looked at.

    Attributes:
        decision: of the gate.
        probabilities: float32 [N, C], the new model's, on the N audit images.
        champion: the same of the model in service, None where it has no head.
    """

    decision: promotion.Decision
    probabilities: npt.NDArray[np.floating]
    champion: npt.NDArray[np.floating] | None

    def metrics(self, labels: npt.NDArray[np.int64]) -> dict[str, float]:
        """Return the measures on the audit share, int [N], by name; none where N = 0."""
        if not len(labels):
            return {}
        correct = int(np.sum(self.probabilities.argmax(axis=1) == labels))
        interval = evaluation.wilson(correct, len(labels))
        bins = evaluation.reliability(self.probabilities, labels)
        found = {
            "audit_accuracy": correct / len(labels),
            "audit_accuracy_low": interval.low,
            "audit_accuracy_high": interval.high,
            "audit_log_loss": evaluation.log_loss(self.probabilities, labels),
            "audit_calibration_error": bins.expected_calibration_error(),
        }
        if self.champion is not None:
            found["champion_audit_accuracy"] = evaluation.accuracy(self.champion, labels)
        return found


def judge(
    challenger: promotion.Answers,
    champion: promotion.Answers,
    labels: npt.NDArray[np.int64],
    margin: float,
) -> Judged:
    """Ask the gate about a new model that has answered on the audit images.

    Raises:
        BadModel: the new model gave no answers.
    """
    if challenger.probabilities is None:
        raise BadModel("the new model gives no probabilities")
    decision = promotion.decide(challenger, champion, labels, margin)
    return Judged(decision, challenger.probabilities, champion.probabilities)


def check_parity(model: Scorer, head: HeadScorer, backbone: Scorer) -> None:
    """Check that the assembled file computes what its two parts compute, on images of noise.

    Raises:
        BadModel: it does not.
    """
    shape = (2, model.spec.height, model.spec.width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for whole, part in zip(model.predict(images), backbone.predict(images), strict=True):
        if whole.probabilities is None:
            raise BadModel("the assembled model gives no probabilities")
        answer = head.run(part.embedding[np.newaxis])[0]
        gap = max(
            float(np.abs(whole.embedding - part.embedding).max()),
            float(np.abs(whole.probabilities - answer).max()),
        )
        if gap > _TOLERANCE:
            raise BadModel(f"the assembled model and its parts differ by {gap:.2g}")
