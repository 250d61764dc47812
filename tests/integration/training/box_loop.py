"""The whole loop in memory for labels that are boxes: uploads, batches, answers, jobs and predictions."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from fakes.label_studio import FakePredictions
from unit.training.detectors import with_rectangle
from unit.training.stack import World

from octospoon.adapters.label_studio.rectangle_labels import RectangleLabels
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.batch.compose import NEVER, BatchRules
from octospoon.domain.pool.images import UNLABELLED, ImageRef
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.domain.training.first_labels import FirstLabels
from octospoon.domain.training.jobs import TrainingState
from octospoon.domain.training.policy import TrainingRules
from octospoon.ports.labelling import AnnotationBody, Message, TaskBody
from octospoon.training.job.run import Outcome, run
from octospoon.training.model import model_file
from octospoon.usecases.champion import CurrentModel
from octospoon.usecases.first_batches import FirstBatches
from octospoon.usecases.refresh_predictions import RefreshPredictions
from octospoon.usecases.score import ScoreUploads
from octospoon.usecases.scoring.outcomes import Outcome as Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from octospoon.domain.labelling.tasks import Pick, Task
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.training.head.trainer import Trainer
    from octospoon.usecases.collect import CollectAnnotations
    from octospoon.usecases.rank import RankReport

SIZE = (96, 64)
"""Width and height of the images in pixels."""


class BoxLoop(World):
    """A project whose images show a red rectangle, except for every third one, which shows nothing.

    Args:
        classes: names of the project's classes; the first is that of the rectangles.
        backbone: of the cold-start model, which is in service from the beginning.
        batch: images of a batch, and new labels that start a job.
    """

    def __init__(self, classes: tuple[str, ...], backbone: bytes, batch: int = 40) -> None:
        super().__init__(DETECTION, classes)
        self.batch, self.audit_share = batch, 0.5
        self.control.now_state = TrainingState()
        self.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
        spec = model_file.backbone_spec(backbone, "letterbox")
        self.serve(model_file.assemble(backbone, None, spec))

    # Use cases are made when they are called, so that a copy of the world uses its own fakes.

    def collect(self, message: str) -> str | None:
        return self._collect()(message)

    def _collect(self) -> CollectAnnotations:
        rules = TrainingRules(self.batch)
        return self.build_collect(self.ports.classes, rules, RectangleLabels().read)

    def rank(self) -> RankReport:
        classes, batch = self.ports.classes, self.batch
        return self.build_rank(
            BatchRules(batch, self.audit_share, rare_classes=NEVER),
            "margin_diverse",
            days=14,
            max_open_tasks=1,
            refresh=RefreshPredictions(
                FakePredictions(self.labeler),
                self.pool,
                self.rounds,
                self.champions,
                lambda pointer: (pointer, None),
                self.clock,
                DETECTION,
                self.rereading.newest,
            ),
            first=FirstBatches(self.control, self.clock, FirstLabels(batch), lambda: len(classes), batch),
        )()

    def score(self, uploads: Sequence[ImageRef]) -> list[Scored | Exception]:
        model = CurrentModel(self.champions, self._open, self.clock).get
        return ScoreUploads(self.images, self.pool, model, self._collect().resolve_label, workers=1)(uploads)

    def _open(self, pointer: ChampionPointer) -> OnnxScorer:
        with tempfile.TemporaryDirectory() as folder:
            return OnnxScorer(self.champions.fetch(pointer, Path(folder)), pointer.generation)

    # -- images ---------------------------------------------------------------------------------

    def truth(self, key: str) -> tuple[Box, ...]:
        """Return the objects of an image."""
        number = int(key[:4])
        if number % 3 == 2:
            return ()
        rng = np.random.default_rng(number)
        width, height = SIZE
        w, h = int(rng.integers(20, 50)), int(rng.integers(15, 40))
        x, y = int(rng.integers(width - w)), int(rng.integers(height - h))
        places = x / width, y / height, (x + w) / width, (y + h) / height
        return (Box(self.ports.classes[0], *places),)

    def drop_images(self, numbers: Iterable[int]) -> None:
        """Upload images and score them."""
        uploads = []
        for number in numbers:
            key = f"{number:04d}.png"
            drawn = [box[1:] for box in self.truth(key)]
            data = with_rectangle(SIZE, drawn[0] if drawn else (0.0, 0.0, 0.0, 0.0))
            etag = hashlib.md5(data).hexdigest()
            self.images.objects[key] = (data, etag)
            uploads.append(ImageRef(key, etag, "1", len(data)))
        assert self.score(uploads) == [Scored.SCORED] * len(uploads)

    def read_again(self) -> None:
        """Score the images of the pool again, as `rescore` has it done after a promotion."""
        rows = self.pool.rows(list(self.pool.table)).values()
        version = -1 if self.champions.current is None else self.champions.current.version
        waiting = [row.key for row in rows if row.state in UNLABELLED and row.model_version != version]
        objects = self.images.objects
        uploads = [ImageRef(key, objects[key][1], "1", len(objects[key][0])) for key in waiting]
        assert self.score(uploads) == [Scored.SCORED] * len(uploads)

    # -- people ---------------------------------------------------------------------------------

    def answer_all(self) -> list[str]:
        """Answer every open task, as the webhook's messages; return the ids of the jobs that this starts."""
        return [job for id_ in sorted(self.labeler.tasks) if (job := self._answer(id_))]

    def _answer(self, id_: int) -> str | None:
        task = self.labeler.tasks[id_]
        if id_ in self.labeler.answered:
            return None
        self.labeler.answered.add(id_)
        label = Boxes().write(self.truth(task.key))
        body = AnnotationBody(
            id=id_,
            unique_id=f"u{id_}",
            updated_at="2026-01-01T00:00:00.000000Z",
            task=id_,
            completed_by=1,
            result=RectangleLabels().result(label),
        )
        tasks = [TaskBody(id_, {"key": task.key, "etag": task.etag, "image": task.image_uri})]
        message = Message("ANNOTATION_CREATED", 1, [body], tasks)
        return self.collect(msgspec.json.encode(message).decode())

    # -- rounds ---------------------------------------------------------------------------------

    def next_batch(self) -> tuple[Pick, ...]:
        """Choose and export a batch; return its images."""
        report = self.rank()
        assert not report.reason, report.reason
        return self.rounds.files[report.round_number].picks

    def task_of(self, key: str) -> tuple[int, Task]:
        return next((id_, task) for id_, task in self.labeler.tasks.items() if task.key == key)

    def train(self, job: str, trainer: Trainer) -> Outcome:
        return run(job, replace(self.ports, trainer=trainer))
