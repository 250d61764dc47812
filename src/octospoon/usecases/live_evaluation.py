"""How good the model in service is now, on audit labels: those given since it was trained count too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import estimators
from octospoon.domain.labelling.blinding import audit_rule
from octospoon.usecases.population import sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Estimate, Evaluation
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow
    from octospoon.ports.labelling import Labels
    from octospoon.ports.pool import PoolSampling
    from octospoon.usecases.rescore import Head


@dataclass(frozen=True, slots=True)
class LiveEvaluation:
    """What a model is worth.

    Attributes:
        evaluation: on the audit share, which no model is trained on.
        naive: its accuracy on every label, those that it learned from included: what not to believe.
        audit_predictions: the rule under which the audit labels were given; see `blinding.audit_rule`.
    """

    evaluation: Evaluation
    naive: Estimate
    audit_predictions: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """The use case.

    Attributes:
        pool: where the stored embeddings are.
        labels: what annotators said.
    """

    pool: PoolSampling
    labels: Labels

    def __call__(self, pointer: ChampionPointer, head: Head, since: str = "") -> LiveEvaluation:
        """Measure a model.

        Args:
            pointer: of the model.
            head: its head.
            since: only images uploaded on this UTC day or later, such as 2026-01-31; empty for all.
        """
        images = [
            one for one in self.labels.labelled() if one.label in pointer.classes and one.arrived >= since
        ]
        stored = self.pool.rows([one.key for one in images])
        usable = [one for one in images if _is(one, stored.get(one.key), pointer)]
        labels = np.array([pointer.classes.index(one.label) for one in usable], np.int64)
        answers = _answers(head, [stored[one.key] for one in usable], len(pointer.classes))
        audit = np.array([one.audit for one in usable], bool)
        right = answers.argmax(axis=1) == labels
        uploads = None if since else self._uploads(pointer, head, len(usable), int(np.sum(~audit)))
        return LiveEvaluation(
            estimators.evaluate(answers[audit], labels[audit], uploads),
            estimators.proportion(int(right.sum()), len(right)),
            audit_rule(usable),
        )

    def _uploads(
        self, pointer: ChampionPointer, head: Head, labelled: int, trained: int
    ) -> npt.NDArray[np.float32] | None:
        """Return the model's answers on a sample that stands for all uploads; None where none does."""
        found = sample(self.pool, pointer.backbone, f"version-{pointer.version}")
        if not found.resembles_all(labelled, trained):
            return None
        return _answers(head, found.rows, len(pointer.classes))


def _is(image: LabelledImage, row: PoolRow | None, pointer: ChampionPointer) -> bool:
    """Say whether a row holds the embedding of the picture that was labelled."""
    return row is not None and row.etag == image.etag and row.backbone == pointer.backbone


def _answers(head: Head, rows: Sequence[PoolRow], classes: int) -> npt.NDArray[np.float32]:
    if not rows:
        return np.empty((0, classes), np.float32)
    return head.run(np.stack([row.embedding for row in rows]))
