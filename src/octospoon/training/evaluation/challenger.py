"""What a trained model is worth beside the one in service, whether or not the two share a backbone.

Stored embeddings are those of the backbone in service. A new one must see the pictures themselves: all the
labelled ones, and a bounded draw from the pool; what neither can be read for stands for nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import gate
from octospoon.training.data.dataset import Dataset, gather
from octospoon.training.data.pool_sample import Uploads, embedded
from octospoon.training.evaluation.gate import judge
from octospoon.training.model import model_file
from octospoon.training.model.measure import parity_gap, seconds_per_image
from octospoon.training.model.optimize import cold_start

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.training.jobs import TrainedModel
    from octospoon.ports.models import HeadScorer, Scorer
    from octospoon.training.context import TrainingPorts
    from octospoon.training.evaluation.gate import Judged

_RESCORE = (
    "a new backbone: embeddings stored before are another's, `octospoon rescore --full` has their images "
    "scored again"
)


@dataclass(frozen=True, slots=True)
class Champion:
    """The model in service, or the starter backbone before the first pointer."""

    pointer: ChampionPointer | None
    etag: str | None
    file: bytes
    scorer: Scorer

    @property
    def version(self) -> int:
        """The version in service, -1 before the first."""
        return -1 if self.pointer is None else self.pointer.version


@dataclass(frozen=True, slots=True)
class Appraised:
    """A judged model.

    Attributes:
        judged: what the gate said.
        dataset: the labelled images, with the new model's embeddings.
        trained: the model, its held-out answers in the order of the dataset's training rows.
        metrics: what the evaluation itself has to say.
    """

    judged: Judged
    dataset: Dataset
    trained: TrainedModel
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class EvaluateChallenger:
    """Opens a trained model and has it judged.

    Attributes:
        ports: of the job.
        job_id: fixes the draw from the pool.
        champion: what it is compared with.
        scratch: an empty folder.
    """

    ports: TrainingPorts
    job_id: str
    champion: Champion
    scratch: Path

    def __call__(self, trained: TrainedModel, dataset: Dataset) -> Appraised:
        """Judge a model; store what uploads look like to it.

        Args:
            trained: the model.
            dataset: the labelled images, with the embeddings of the backbone in service.
        """
        challenger = self.ports.open_model(self._file("model", trained.model))
        head = self.ports.open_head(self._file("head", trained.head))
        if challenger.spec.backbone == self.champion.scorer.spec.backbone:
            uploads = Uploads(
                self.ports.pool,
                challenger.spec.backbone,
                self.job_id,
                dataset.part(audit=False),
                dataset.part(audit=True),
            )
            judged = self._judged(trained, challenger, head, self.champion.scorer, uploads, uploads.audit)
            return Appraised(judged, dataset, trained, {})
        return self._of_new_backbone(trained, dataset, challenger, head)

    def _of_new_backbone(
        self, trained: TrainedModel, dataset: Dataset, challenger: Scorer, head: HeadScorer
    ) -> Appraised:
        ports, backbone = self.ports, model_file.extract_backbone(trained.model)
        seen = gather(dataset.images, ports.classes, {}, ports.images, challenger)
        lost = Counter(dataset.dropped) + Counter(seen.dropped)
        seen = replace(seen, dropped=dict(lost), unknown=dataset.unknown)
        keys = {image.key for image in seen.images}
        same, learned = dataset.only(keys), dataset.part(audit=False).images
        still = np.array([image.key in keys for image in learned], bool)
        trained = replace(trained, held_out=trained.held_out[still])
        uploads = Uploads(
            ports.pool,
            challenger.spec.backbone,
            self.job_id,
            seen.part(audit=False),
            seen.part(audit=True),
            embedded(ports.images, challenger),
        )
        bare = ports.open_model(self._file("backbone", cold_start(backbone, challenger.spec.resize)))
        judged = self._judged(trained, challenger, head, bare, uploads, same.part(audit=True))
        if judged.decision.promote:
            decision = replace(judged.decision, reasons=(*judged.decision.reasons, _RESCORE))
            judged = replace(judged, decision=decision)
        return Appraised(judged, seen, trained, {"uploads_read_again": float(uploads.drawn)})

    def _judged(
        self,
        trained: TrainedModel,
        challenger: Scorer,
        head: HeadScorer,
        backbone: Scorer,
        uploads: Uploads,
        audit: Dataset,
    ) -> Judged:
        """Ask the gate; `audit` are the audit images of `uploads` as the model in service sees them."""
        champion, old = self.champion, self._old_head()
        known = uploads.reference(head, trained.held_out)
        if known is not None:
            self.ports.references.put(model_file.sha256(trained.model), known)
        return judge(
            gate.Answers(
                challenger.spec,
                head.run(uploads.audit.embeddings),
                seconds_per_image(challenger),
                len(trained.model),
                parity_gap(challenger, head, backbone),
            ),
            gate.Answers(
                # the pointer, not the file, says which version is in service
                replace(champion.scorer.spec, version=champion.version),
                old.run(audit.embeddings) if old else None,
                seconds_per_image(champion.scorer),
                len(champion.file),
            ),
            uploads.audit.labels,
            uploads.answers(head),
            self.ports.rules,
        )

    def _old_head(self) -> HeadScorer | None:
        pointer = self.champion.pointer
        if pointer is None or not pointer.head_key:
            return None
        return self.ports.open_head(self.ports.champions.fetch_head(pointer, self.scratch))

    def _file(self, name: str, content: bytes) -> Path:
        path = self.scratch / f"{name}.onnx"
        path.write_bytes(content)
        return path
