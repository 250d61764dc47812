"""Compare a trained model with the one in service, whether or not they share a backbone.

Stored embeddings are those of the backbone in service. A model with a new backbone must read the images: all
labelled ones, and a bounded sample of the pool. Images that cannot be read are not counted for either model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import gate
from octospoon.domain.evaluation.audit_boxes import AuditBoxes
from octospoon.domain.labelling.classes import LEAST
from octospoon.training.data.dataset import Dataset, gather
from octospoon.training.data.pool_sample import Uploads, embedded
from octospoon.training.evaluation import detector_reference
from octospoon.training.evaluation.detector import JudgeDetector
from octospoon.training.evaluation.detector_reference import Answers
from octospoon.training.evaluation.gate import judge
from octospoon.training.model import model_file
from octospoon.training.model.measure import parity_gap, seconds_per_image
from octospoon.training.model.optimize import cold_start
from octospoon.usecases.unseen import Unseen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.training.jobs import TrainedModel
    from octospoon.ports.models import HeadScorer, Scorer
    from octospoon.training.context import TrainingPorts
    from octospoon.training.evaluation.champion import Champion
    from octospoon.training.evaluation.gate import Judged

_LOST = "not-read-again"
"""The reason of an image that could be read at first, and not when a model judged it."""
_STALE = "the backbone is new: stored embeddings are of the old one; "
_RESCORE = f"{_STALE}the newest images are read again, and `octospoon rescore --full` reads all others"
_REQUESTED = f"{_STALE}`octospoon backbone use` reads their images again"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The evaluation of a trained model.

    Attributes:
        judged: the gate's decision and its data.
        dataset: the labelled images, with the new model's embeddings.
        trained: the model, with held-out probabilities in the order of the dataset's rows.
        metrics: metrics of the evaluation itself.
    """

    judged: Judged
    dataset: Dataset
    trained: TrainedModel
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class EvaluateChallenger:
    """Loads a trained model and compares it with the champion.

    Attributes:
        ports: the ports of the job.
        job_id: fixes the sample of the pool.
        champion: the model in service.
        scratch: an empty folder for model files.
    """

    ports: TrainingPorts
    job_id: str
    champion: Champion
    scratch: Path

    def __call__(self, trained: TrainedModel, dataset: Dataset) -> Evaluated:
        """Evaluate a model and store its drift reference.

        Args:
            trained: the model.
            dataset: the labelled images, with embeddings of the backbone in service.
        """
        challenger = self.ports.open_model(self._file("model", trained.model))
        if challenger.spec.boxes:
            return self._of_detector(trained, dataset, challenger)
        head = self.ports.open_head(self._file("head", trained.head))
        if challenger.spec.backbone == self.champion.scorer.spec.backbone:
            uploads = Uploads(
                self.ports.pool,
                challenger.spec.backbone,
                self.job_id,
                dataset.part(audit=False),
                dataset.part(audit=True),
            )
            judged = self._judged(trained, challenger, head, self.champion.scorer, uploads, dataset)
            return Evaluated(judged, dataset, trained, {})
        return self._of_new_backbone(trained, dataset, challenger, head)

    def _of_detector(self, trained: TrainedModel, dataset: Dataset, challenger: Scorer) -> Evaluated:
        """Evaluate a model that predicts boxes, so that images are read; store its drift reference."""
        ports, new_backbone = self.ports, challenger.spec.backbone != self.champion.scorer.spec.backbone
        if new_backbone:
            trained, dataset = self._embedded_again(trained, dataset, challenger)
        audit = dataset.part(audit=True)
        ask = JudgeDetector(ports.images, ports.task_type, ports.class_history(), ports.rules)
        judged, read = ask(challenger, len(trained.model), self.champion, audit)
        lost = {image.key for image in audit.images} - {image.key for image in read.images}
        kept = np.array([image.key not in lost for image in dataset.images], bool)
        rest = dataset.only({image.key for image in dataset.images} - lost)
        dropped = Counter(dataset.dropped) + Counter({_LOST: len(lost)})
        rest = replace(rest, dropped=dict(dropped), unknown=dataset.unknown)
        judged = self._with_advice(judged) if new_backbone else judged
        held_out = trained.held_out[[not image.audit for image in dataset.images]]
        answers = Answers(judged.probabilities, held_out)
        self._store_reference(trained, challenger, rest.part(audit=False), read, answers)
        record = replace(trained.record, boxes=AuditBoxes.of(read.numbers(), list(judged.probabilities)))
        trained = replace(trained, held_out=trained.held_out[kept], record=record)
        return Evaluated(judged, rest, trained, {})

    def _store_reference(
        self, trained: TrainedModel, challenger: Scorer, train: Dataset, audit: Dataset, answers: Answers
    ) -> None:
        """Store the drift reference of a detector, for which unlabelled images are read."""
        ports, backbone = self.ports, challenger.spec.backbone
        kept = backbone == self.champion.scorer.spec.backbone
        # of a new backbone, the reference reads what it takes of the sample
        uploads = Uploads(ports.pool, backbone, self.job_id, train, audit, None if kept else _as_they_are)
        read, evaluator = embedded(ports.images, challenger), ports.task_type.evaluator
        known = detector_reference.reference(uploads, answers, evaluator, read, kept_backbone=kept)
        if known is not None:
            ports.references.put(model_file.sha256(trained.model), known)

    def _of_new_backbone(
        self, trained: TrainedModel, dataset: Dataset, challenger: Scorer, head: HeadScorer
    ) -> Evaluated:
        """Evaluate a model whose backbone is not the one in service, so that the images are read again."""
        ports, backbone = self.ports, model_file.extract_backbone(trained.model)
        trained, new = self._embedded_again(trained, dataset, challenger)
        old = dataset.only({image.key for image in new.images})
        uploads = Uploads(
            ports.pool,
            challenger.spec.backbone,
            self.job_id,
            new.part(audit=False),
            new.part(audit=True),
            embedded(ports.images, challenger),
        )
        bare = ports.open_model(self._file("backbone", cold_start(backbone, challenger.spec.resize)))
        judged = self._with_advice(self._judged(trained, challenger, head, bare, uploads, old))
        return Evaluated(judged, new, trained, {"uploads_read_again": float(uploads.drawn)})

    def _embedded_again(
        self, trained: TrainedModel, dataset: Dataset, challenger: Scorer
    ) -> tuple[TrainedModel, Dataset]:
        """Return the labelled images with embeddings of a new backbone, and the model for their rows.

        Images that cannot be read again are left out.
        """
        ports = self.ports
        # no rows are passed, so every image is read and embedded by the new backbone
        new = gather(dataset.images, ports.classes, ports.task_type, {}, ports.images, challenger)
        dropped = Counter(dataset.dropped) + Counter(new.dropped)
        new = replace(new, dropped=dict(dropped), unknown=dataset.unknown)
        keys = {image.key for image in new.images}
        kept = np.array([image.key in keys for image in dataset.images], bool)
        return replace(trained, held_out=trained.held_out[kept]), new

    def _with_advice(self, judged: Judged) -> Judged:
        """Say what follows the promotion of a new backbone."""
        if not judged.decision.promote:
            return judged
        advice = _RESCORE if self.ports.candidate is None else _REQUESTED
        decision = replace(judged.decision, reasons=(*judged.decision.reasons, advice))
        return replace(judged, decision=decision)

    def _judged(
        self,
        trained: TrainedModel,
        challenger: Scorer,
        head: HeadScorer,
        backbone: Scorer,
        uploads: Uploads,
        labelled: Dataset,
    ) -> Judged:
        """Store the drift reference and ask the gate.

        `challenger`, `head` and `backbone` are the loaded parts of `trained`. `uploads` have its embeddings;
        `labelled` are their images with embeddings of the backbone in service.
        """
        model, audit = Unseen(head, trained.record), uploads.audit
        apart = np.array([not image.audit for image in labelled.images], bool)
        evaluator = self.ports.task_type.evaluator
        reference = uploads.reference(model, trained.held_out[apart], evaluator)
        if reference is not None:
            self.ports.references.put(model_file.sha256(trained.model), reference)
        judged = judge(
            evaluator,
            gate.Answers(
                challenger.spec,
                model.answers(audit.images, audit.embeddings),
                seconds_per_image(challenger),
                len(trained.model),
                parity_gap(challenger, head, backbone),
                head.run(audit.embeddings),
            ),
            self._of_champion(labelled.part(audit=True)),
            audit.labels,
            uploads.confidence(model, evaluator),
            self.ports.rules,
            model.variance_factor(audit.images),
        )
        if not self.champion.unmeasurable:
            return judged
        refusal = gate.Decision(promote=False, reasons=(self.champion.unmeasurable,))
        return replace(judged, decision=refusal)

    def _of_champion(self, audit: Dataset) -> gate.Answers:
        """Return the champion's answers on audit images, each from a head that has not seen the image."""
        champion, old = self.champion, self._old_head()
        spec = champion.scorer.spec
        translated = self.ports.task_type.translation(self.ports.class_history(), spec.classes)
        names = translated.names if len(translated.names) >= LEAST else ()
        answers = None
        if old is not None and names and not champion.unmeasurable:
            model = Unseen(old, champion.record, translated)
            known = model.known(audit.images)
            images = [image for image, judged in zip(audit.images, known, strict=True) if judged]
            answers = np.full((len(audit), len(names)), np.nan, np.float32)
            answers[known] = model.answers(images, audit.embeddings[known])
        return gate.Answers(
            # the pointer, not the file, says which version is in service
            replace(spec, version=champion.version, classes=names),
            answers,
            seconds_per_image(champion.scorer),
            len(champion.file),
        )

    def _old_head(self) -> HeadScorer | None:
        """Load the head in service; None if the model in service has none."""
        pointer = self.champion.pointer
        if pointer is None or not pointer.head_key:
            return None
        return self.ports.open_head(self.ports.champions.fetch_head(pointer, self.scratch))

    def _file(self, name: str, content: bytes) -> Path:
        path = self.scratch / f"{name}.onnx"
        path.write_bytes(content)
        return path


def _as_they_are(rows: Sequence[PoolRow]) -> Sequence[PoolRow]:
    """Implements `octospoon.usecases.population.Embed` for rows that are read later."""
    return rows
