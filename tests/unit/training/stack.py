"""A whole training job's surroundings in memory, on scikit-learn's digits."""

from __future__ import annotations

import copy
import functools
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from fakes.pool import Row
from fakes.world import FakeWorld

from octospoon.adapters.imaging.decode import decode
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import OnnxHead, open_session
from octospoon.cli.datasets import digits
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, LabelledImage, Pick
from octospoon.domain.model_spec import ChampionPointer, head_key, model_key
from octospoon.domain.pool.images import Prediction, State
from octospoon.domain.training.jobs import JobStatus, TrainingState
from octospoon.ports.training import ModelRun, TrainingData
from octospoon.training.context import TrainingPorts
from octospoon.training.model.model_file import read_spec, starter_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

JOB = "train-000001"


@dataclass
class FakeRegistry:
    runs: dict[str, ModelRun] = field(default_factory=dict)
    run_tags: dict[str, dict[str, str]] = field(default_factory=dict)
    logged: dict[int, dict[str, bytes]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[int, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    ended: list[bool] = field(default_factory=list)
    data: dict[int, TrainingData] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    epochs: list[Mapping[str, float]] = field(default_factory=list)
    alone: list[ModelRun] = field(default_factory=list)
    failures: int = 0

    def begin(self, job_id: str, tags: Mapping[str, str], claim: Callable[[int], int]) -> ModelRun:
        self.run_tags[job_id] = dict(tags)
        if job_id not in self.runs:
            number = len(self.runs) + 1
            self.runs[job_id] = ModelRun(f"run-{job_id}", claim(number), number)
        return self.runs[job_id]

    def log(
        self,
        run: ModelRun,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        folder: Path,
        epochs: Sequence[Mapping[str, float]] = (),
    ) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("MLflow does not answer")
        self.logged[run.version] = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.metrics, self.params, self.epochs = dict(metrics), dict(params), list(epochs)

    def trained_on(self, run: ModelRun, data: TrainingData) -> None:
        self.data[run.version] = data

    def tag(self, run: ModelRun, tags: Mapping[str, str]) -> None:
        self.tags.setdefault(run.version, {}).update(tags)

    def set_alias(self, alias: str, run: ModelRun) -> None:
        self.aliases[alias] = run.version

    def end(self, run: ModelRun, *, succeeded: bool) -> None:
        self.ended.append(succeeded)

    def end_others(self, run: ModelRun) -> None:
        self.alone.append(run)


@dataclass
class FakeSnapshots:
    stored: dict[str, list[LabelledImage]] = field(default_factory=dict)

    def read(self, job_id: str) -> list[LabelledImage] | None:
        return self.stored.get(job_id)

    def write(self, job_id: str, rows: Sequence[LabelledImage]) -> list[LabelledImage]:
        return self.stored.setdefault(job_id, list(rows))

    def find(self, job_id: str, key: str) -> LabelledImage | None:
        return next((image for image in self.stored.get(job_id, ()) if image.key == key), None)

    def uri(self, job_id: str) -> str:
        return f"s3://artifacts/snapshots/{job_id}.jsonl"


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
    def __init__(self) -> None:
        super().__init__()
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
            history=self.history,
            observations=self.observations,
            registry=self.registry,
            rounds=self.rounds,
            open_model=OnnxScorer,
            open_head=OnnxHead,
            classes=digits.CLASSES,
        )

    def copied(self) -> World:
        """Return the same surroundings, to be changed alone."""
        return copy.deepcopy(self)

    def launch(self, job_id: str) -> None:
        state = self.control.now_state
        self.control.now_state = replace(state, status=JobStatus.LAUNCHING, job_id=job_id)

    def drop(self, index: int, prediction: Prediction | None = None) -> Row:
        """Put one digit into the pool, with the starter model's embedding unless another is given."""
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
        """Put one digit into the pool, picked and labelled."""
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


def world() -> World:
    return World()
