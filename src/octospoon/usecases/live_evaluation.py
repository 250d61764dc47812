"""Evaluate the model in service on all audit labels, including those given since it was trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import estimators
from octospoon.domain.evaluation.training_record import NO_HEAD
from octospoon.domain.labelling.blinding import audit_rule
from octospoon.domain.labelling.classes import LEAST, ClassHistory
from octospoon.domain.pool.boxes import CORNERS, together
from octospoon.usecases.population import sample
from octospoon.usecases.stored_boxes import StoredBoxes
from octospoon.usecases.unseen import Unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Estimate, Evaluation
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.task_type import TaskType, Translation
    from octospoon.ports.labelling import Labels
    from octospoon.ports.models import TrainingRecords
    from octospoon.ports.pool import PoolSampling
    from octospoon.usecases.rescore import Head


@dataclass(frozen=True, slots=True)
class LiveEvaluation:
    """The evaluation of a model.

    Attributes:
        evaluation: on the audit share, each image by a head that was not trained on it.
        naive: accuracy on all labels, including those that it was trained on; biased, for comparison only.
            It is unknown for a detector, which cannot be run on stored embeddings.
        audit_predictions: the rule under which the audit labels were given; see `blinding.audit_rule`.
        classes: the project's classes that the model knows, in the order of the recalls.
        fold_heads: number of audit images that a fold head judges; the served head judges the others.
        left_out: number of audit images that every head was trained on, before they joined the audit share.
        unpredicted: number of audit images of which no boxes of this detector are stored.
    """

    evaluation: Evaluation
    naive: Estimate
    audit_predictions: str = ""
    classes: tuple[str, ...] = ()
    fold_heads: int = 0
    left_out: int = 0
    unpredicted: int = 0


@dataclass(frozen=True, slots=True)
class EvaluateLive:
    """The use case.

    Attributes:
        pool: the stored embeddings.
        labels: the labels.
        records: which images each version was trained on.
        task_type: the kind of label.
        history: returns the project's classes, and what each class of an older model is called now.
    """

    pool: PoolSampling
    labels: Labels
    records: TrainingRecords
    task_type: TaskType
    history: Callable[[], ClassHistory] = ClassHistory

    def __call__(self, pointer: ChampionPointer, head: Head | None, since: str = "") -> LiveEvaluation:
        """Evaluate a model.

        Args:
            pointer: of the model.
            head: its head; None for a detector, which is judged by its stored boxes.
            since: only images uploaded on this UTC day or later, such as 2026-01-31; empty for all.

        Raises:
            BadModel: the record of the model's training is missing or damaged.
        """
        translated = self.task_type.translation(self.history(), pointer.classes)
        names = translated.names if len(translated.names) >= LEAST else ()
        evaluator, record = self.task_type.evaluator, self.records.get(pointer)
        images = self._labelled(set(names), since)
        if head is None:
            return self._of_detector(StoredBoxes(pointer, record), translated, names, images)
        model = Unseen(head, record, translated)
        stored = self.pool.rows([image.key for image in images])
        usable = [image for image in images if embedded(image, stored.get(image.key), pointer)]
        if not usable or not names:
            return self._nothing(names)
        embeddings = np.stack([stored[image.key].embedding for image in usable])
        labels = evaluator.targets([image.label for image in usable], names)
        audit = np.array([image.audit for image in usable], bool)
        kept = np.flatnonzero(audit & model.known(usable))
        judged = [usable[i] for i in kept.tolist()]
        served = evaluator.right(translated(head.run(embeddings)), labels)
        uploads = None if since or not judged else self._uploads(pointer, model, judged, ~audit)
        answers, factor = model.answers(judged, embeddings[kept]), model.variance_factor(judged)
        return LiveEvaluation(
            evaluator.evaluate(answers, labels[kept], uploads, factor),
            estimators.proportion(int(served.sum()), len(served)),
            audit_rule(usable),
            names,
            int(np.sum(model.folds(judged) != NO_HEAD)),
            int(audit.sum()) - len(judged),
        )

    def _of_detector(
        self, model: StoredBoxes, translated: Translation, names: tuple[str, ...], images: list[LabelledImage]
    ) -> LiveEvaluation:
        """Evaluate a detector on the audit images of which its boxes are stored."""
        audit = [image for image in images if image.audit]
        rows = self.pool.rows([image.key for image in audit])
        answers = [(image, model.of(image, rows.get(image.key))) for image in audit]
        boxes = [predicted for _, predicted in answers if predicted is not None]
        seen = sum(model.trained_on(image) for image in audit)
        result = self._nothing(names)
        if boxes and names:
            judged = [image for image, predicted in answers if predicted is not None]
            targets = self.task_type.evaluator.targets([image.label for image in judged], names)
            evaluation = self.task_type.evaluator.evaluate(translated(together(boxes)), targets)
            result = replace(result, evaluation=evaluation, audit_predictions=audit_rule(judged))
        return replace(result, left_out=seen, unpredicted=len(audit) - len(boxes) - seen)

    def _labelled(self, known: set[str], since: str) -> list[LabelledImage]:
        """Return the labelled images whose classes are known, and that were uploaded on this day or later."""
        return [
            image
            for image in self.labels.labelled()
            if set(self.task_type.labels.classes(image.label)) <= known and image.arrived >= since
        ]

    def _uploads(
        self,
        pointer: ChampionPointer,
        model: Unseen,
        judged: Sequence[LabelledImage],
        chosen: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.floating] | None:
        """Return the confidence on a sample that represents all uploads; None if no sample does.

        `chosen` says of each labelled image whether a strategy chose it.
        """
        population = sample(self.pool, pointer.backbone, f"version-{pointer.version}")
        if not population.resembles_all(len(chosen), int(chosen.sum())):
            return None
        pool = np.stack([row.embedding for row in population.rows])
        return model.confidence(judged, pool, self.task_type.evaluator.confidence)

    def _nothing(self, names: tuple[str, ...]) -> LiveEvaluation:
        """Return the evaluation without any label."""
        classes, evaluator = max(LEAST, len(names)), self.task_type.evaluator
        boxes = not self.task_type.activation
        answers = np.empty((0, 0, CORNERS + classes) if boxes else (0, classes), np.float32)
        evaluation = evaluator.evaluate(answers, evaluator.targets((), names))
        return LiveEvaluation(evaluation, estimators.proportion(0, 0), classes=names)


def embedded(image: LabelledImage, row: PoolRow | None, pointer: ChampionPointer) -> bool:
    """Return whether a row has the model's embedding of the bytes that were labelled."""
    return row is not None and row.etag == image.etag and row.backbone == pointer.backbone
