"""Measures a new model and the one in service on the audit share, and asks the gate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation import gate as promotion
from octospoon.domain.evaluation import metrics as evaluation
from octospoon.domain.evaluation.estimators import evaluate

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.ports.models import Scorer

_TRIES = 5


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
        champion: the same of the model in service; None where it has no head, or other classes.
        evaluation: the new model's measures.
    """

    decision: promotion.Decision
    probabilities: npt.NDArray[np.floating]
    champion: npt.NDArray[np.floating] | None
    evaluation: Evaluation

    def metrics(self, labels: npt.NDArray[np.int64]) -> dict[str, float]:
        """Return the measures on the audit share, int [N], by name; none where N = 0."""
        if not len(labels):
            return {}
        found = self.evaluation.metrics()
        if self.champion is not None:
            found["champion_audit_accuracy"] = evaluation.accuracy(self.champion, labels)
        return found


def judge(
    challenger: promotion.Answers,
    champion: promotion.Answers,
    labels: npt.NDArray[np.int64],
    pool: npt.NDArray[np.floating] | None,
    rules: promotion.Rules,
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
    decision = promotion.decide(challenger, champion, labels, rules)
    measured = evaluate(challenger.probabilities, labels, pool)
    # classes of the model in service that the new one lacks are a refusal already
    known = set(champion.spec.classes) <= set(challenger.spec.classes)
    before = promotion.in_classes(champion, challenger.spec.classes) if known else None
    return Judged(decision, challenger.probabilities, before, measured)


def parity_gap(model: Scorer, head: HeadScorer, backbone: Scorer) -> float:
    """Return by how much the assembled file differs from its two parts, on images of noise.

    Raises:
        BadModel: it gives no probabilities.
    """
    images = _noise(model, 2)
    gaps = [0.0]
    for whole, part in zip(model.predict(images), backbone.predict(images), strict=True):
        if whole.probabilities is None:
            raise BadModel("the assembled model gives no probabilities")
        answer = head.run(part.embedding[np.newaxis])[0]
        gaps.append(float(np.abs(whole.embedding - part.embedding).max()))
        gaps.append(float(np.abs(whole.probabilities - answer).max()))
    return max(gaps)


def seconds_per_image(model: Scorer) -> float:
    """Return the time that one image takes: the fastest of some, which other work disturbs least."""
    image = _noise(model, 1)
    spent = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        model.predict(image)
        spent.append(time.perf_counter() - began)
    return min(spent)


def _noise(model: Scorer, n: int) -> npt.NDArray[np.uint8]:
    shape = (n, model.spec.height, model.spec.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
