"""Evaluate the model in service on all audit labels, including those given since it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import estimators
from octospoon.domain.labelling.blinding import audit_rule
from octospoon.domain.labelling.class_translation import Translation, translation
from octospoon.domain.labelling.classes import LEAST, ClassHistory
from octospoon.usecases.population import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    """The evaluation of a model.

    Attributes:
        evaluation: on the audit share, which no model is trained on.
        naive: accuracy on all labels, including those that it was trained on; biased, for comparison only.
        audit_predictions: the rule under which the audit labels were given; see `blinding.audit_rule`.
        classes: the project's classes that the model knows, in the order of the recalls.
    """

    evaluation: Evaluation
    naive: Estimate
    audit_predictions: str = ""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluateLive:
    """The use case.

    Attributes:
        pool: the stored embeddings.
        labels: the labels.
        history: returns the project's classes, and what each class of an older model is called now.
    """

    pool: PoolSampling
    labels: Labels
    history: Callable[[], ClassHistory] = ClassHistory

    def __call__(self, pointer: ChampionPointer, head: Head, since: str = "") -> LiveEvaluation:
        """Evaluate a model.

        Args:
            pointer: of the model.
            head: its head.
            since: only images uploaded on this UTC day or later, such as 2026-01-31; empty for all.
        """
        translated = translation(self.history(), pointer.classes)
        names = translated.names if len(translated.names) >= LEAST else ()
        images = [
            image for image in self.labels.labelled() if image.label in names and image.arrived >= since
        ]
        stored = self.pool.rows([image.key for image in images])
        usable = [image for image in images if _embedded(image, stored.get(image.key), pointer)]
        labels = np.array([names.index(image.label) for image in usable], np.int64)
        probabilities = _predict(head, [stored[image.key] for image in usable], translated)
        audit = np.array([image.audit for image in usable], bool)
        right = probabilities.argmax(axis=1) == labels
        trained = int(np.sum(~audit))
        uploads = None if since else self._uploads(pointer, head, translated, len(usable), trained)
        return LiveEvaluation(
            estimators.evaluate(probabilities[audit], labels[audit], uploads),
            estimators.proportion(int(right.sum()), len(right)),
            audit_rule(usable),
            names,
        )

    def _uploads(
        self, pointer: ChampionPointer, head: Head, translated: Translation, labelled: int, trained: int
    ) -> npt.NDArray[np.floating] | None:
        """Return probabilities on a sample that represents all uploads; None if no sample does."""
        population = sample(self.pool, pointer.backbone, f"version-{pointer.version}")
        if len(translated.names) < LEAST or not population.resembles_all(labelled, trained):
            return None
        return _predict(head, population.rows, translated)


def _embedded(image: LabelledImage, row: PoolRow | None, pointer: ChampionPointer) -> bool:
    """Return whether a row has the model's embedding of the bytes that were labelled."""
    return row is not None and row.etag == image.etag and row.backbone == pointer.backbone


def _predict(head: Head, rows: Sequence[PoolRow], translated: Translation) -> npt.NDArray[np.floating]:
    """Return probabilities float32 [N, C] of the project's classes."""
    if not rows:
        return np.empty((0, max(LEAST, len(translated.names))), np.float32)
    return translated(head.run(np.stack([row.embedding for row in rows])))
