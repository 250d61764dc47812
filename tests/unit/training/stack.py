"""All that a training job needs, in memory, with scikit-learn's digits."""

from __future__ import annotations

import copy
import functools
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from fakes.pool import Row
from fakes.training import FakeRegistry, FakeSnapshots
from fakes.world import FakeWorld

from octospoon.adapters.imaging.decode import decode
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import OnnxHead, open_session
from octospoon.cli.datasets import digits
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, Pick
from octospoon.domain.model_spec import ChampionPointer, head_key, model_key
from octospoon.domain.pool.images import Prediction, State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.jobs import JobStatus, TrainingState
from octospoon.training.context import TrainingPorts
from octospoon.training.model.model_file import read_spec, starter_model

if TYPE_CHECKING:
    from octospoon.domain.task_types.task_type import TaskType

JOB = "train-000001"


starter = functools.cache(starter_model)


@functools.cache
def backbone() -> str:
    return read_spec(starter()).backbone


@functools.cache
def embeddings(count: int) -> Any:
    session = open_session(starter())
    pixels = np.stack([decode(digits.png_bytes(i), 32, 32, "squash") for i in range(count)])
    return session.run(["embedding"], {"image": pixels})[0].astype(np.float16).astype(np.float32)


class World(FakeWorld):
    def __init__(
        self, task_type: TaskType = CLASSIFICATION, classes: tuple[str, ...] = digits.CLASSES
    ) -> None:
        super().__init__(task_type=task_type)
        self.control.now_state = TrainingState(JobStatus.LAUNCHING, JOB, 1)
        self.registry, self.snapshots = FakeRegistry(), FakeSnapshots()
        self.ports = TrainingPorts(
            clock=self.clock,
            control=self.control,
            labels=self.labels,
            snapshots=self.snapshots,
            pool=self.pool,
            images=self.images,
            champions=self.champions,
            references=self.references,
            training_records=self.training_records,
            history=self.history,
            observations=self.observations,
            registry=self.registry,
            rounds=self.rounds,
            open_model=OnnxScorer,
            open_head=OnnxHead,
            classes=classes,
            task_type=task_type,
        )

    def copied(self) -> Self:
        """Return an independent copy."""
        return copy.deepcopy(self)

    def launch(self, job_id: str) -> None:
        state = self.control.now_state
        self.control.now_state = replace(state, status=JobStatus.LAUNCHING, job_id=job_id)

    def drop(self, index: int, prediction: Prediction | None = None) -> Row:
        """Add one digit to the pool, with the starter model's embedding unless another is given."""
        key, data = f"{index:04d}.png", digits.png_bytes(index)
        etag = hashlib.md5(data).hexdigest()
        self.images.objects[key] = (data, etag)
        prediction = prediction or Prediction(0, backbone(), embeddings(400)[index], None)
        self.pool.table[key] = Row(etag, "1", State.SCORED, prediction)
        return self.pool.table[key]

    def label(
        self,
        index: int,
        label: str,
        *,
        audit: bool = False,
        strategy: str = "margin",
        round_number: int = 1,
        prediction: Prediction | None = None,
    ) -> None:
        """Add one digit to the pool, picked and labelled."""
        key, row = f"{index:04d}.png", self.drop(index, prediction)
        etag, row.state, row.round_number = row.etag, State.EXPORTED, round_number
        row.pick = Pick(key, etag, audit, "random" if audit else strategy, None, 0, None)
        self.labels.upsert(Annotation(key, etag, key, index, "2025-01-01T00:00:00Z", "1", label))
        self.resolve(key, Consensus(label, 1.0, 1))

    def serve(self, model: bytes, head: bytes | None = None) -> None:
        """Put a model into service."""
        model_sha256, head_sha256 = self.champions.put_model(model, head)
        spec = read_spec(model)
        self.champions.set(
            ChampionPointer(
                spec.version,
                model_sha256,
                model_key(model_sha256),
                spec.backbone,
                head_key(head_sha256) if head else "",
                head_sha256,
                spec.classes,
            )
        )
