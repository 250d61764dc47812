"""The champion pointer, its files, and the records about models in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadModel, ServiceUnavailable, VersionTaken
from octospoon.domain.monitoring.observations import ModelDecision, Observation
from octospoon.ports.models import ReadingState

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.domain.evaluation.training_record import TrainingRecord
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.monitoring.drift import Reference
    from octospoon.ports.models import ShardReading


@dataclass
class FakeChampions:
    current: ChampionPointer | None = None
    etag: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    versions: dict[int, ChampionPointer] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    down: bool = False
    unreadable: bool = False

    def set(self, pointer: ChampionPointer) -> None:
        self.current, self.etag = pointer, self.etag + 1

    def pointer(self) -> tuple[ChampionPointer, str] | None:
        return self.changed("")

    def changed(self, etag: str) -> tuple[ChampionPointer, str] | None:
        if self.down:
            raise ServiceUnavailable("S3 does not answer")
        if self.unreadable:
            raise BadModel("it is not a champion pointer")
        if self.current is None or etag == str(self.etag):
            return None
        return self.current, str(self.etag)

    def fetch_head(self, pointer: ChampionPointer, folder: Path) -> Path:
        path = folder / f"{pointer.head_sha256}.onnx"
        path.write_bytes(self.files[pointer.head_sha256])
        return path

    def put_model(self, model: bytes, head: bytes | None) -> tuple[str, str]:
        hashes = [hashlib.sha256(file).hexdigest() if file else "" for file in (model, head)]
        self.files |= {name: file for name, file in zip(hashes, (model, head), strict=True) if file}
        return hashes[0], hashes[1]

    def fetch(self, pointer: ChampionPointer, folder: Path) -> Path:
        if pointer.sha256 not in self.files:
            raise BadModel("there is no such file")
        path = folder / f"{pointer.sha256}.onnx"
        path.write_bytes(self.files[pointer.sha256])
        return path

    def keep(self, pointer: ChampionPointer) -> None:
        if pointer.version > 0 and self.versions.get(pointer.version, pointer) != pointer:
            raise VersionTaken(f"version {pointer.version} is another model already")
        self.versions[pointer.version] = pointer

    def newest(self) -> int:
        served = -1 if self.current is None else self.current.version
        return max(served, *self.versions, *self.claims.values(), -1)

    def claim(self, owner: str, least: int) -> int:
        return self.claims.setdefault(owner, max(least, self.newest() + 1))

    def version(self, version: int) -> ChampionPointer | None:
        return self.versions.get(version)

    def promote(self, pointer: ChampionPointer, expected_etag: str | None) -> bool:
        if expected_etag != (None if self.current is None else str(self.etag)):
            return False
        self.set(pointer)
        return True

    def mend(self, pointer: ChampionPointer) -> bool:
        if not self.unreadable:
            return False
        self.unreadable = False
        self.set(replace(pointer, generation=1_000_000))
        return True


@dataclass
class FakeTrainingRecords:
    champions: FakeChampions
    stored: dict[str, TrainingRecord] = field(default_factory=dict)

    def put(self, record: TrainingRecord) -> str:
        names = [each.name for each in fields(record) if each.name != "boxes"]
        arrays = [np.asarray(getattr(record, name)).tobytes() for name in names]
        if record.boxes is not None:
            arrays += [record.boxes.images.tobytes(), *record.boxes.boxes]
        name = hashlib.sha256(b"".join(arrays)).hexdigest()
        self.stored[name] = record
        return name

    def get(self, pointer: ChampionPointer) -> TrainingRecord | None:
        own = self.champions.versions.get(pointer.version)
        name = pointer.record_sha256
        if not name and own is not None and own.sha256 == pointer.sha256:
            name = own.record_sha256
        if not name:
            return None
        if name not in self.stored:
            raise BadModel(f"the training record of version {pointer.version} is missing")
        return self.stored[name]


@dataclass
class FakeReferences:
    stored: dict[str, Reference] = field(default_factory=dict)

    def put(self, model_sha256: str, reference: Reference) -> None:
        self.stored.setdefault(model_sha256, reference)

    def get(self, model_sha256: str) -> Reference | None:
        return self.stored.get(model_sha256)


@dataclass
class FakeAlias:
    named: int | None = None
    moves: list[int] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)

    def read(self) -> int | None:
        return self.named

    def move(self, version: int) -> bool:
        if version in self.deleted:
            return False
        self.named = version
        self.moves.append(version)
        return True


@dataclass
class FakeHistory:
    decisions: dict[str, ModelDecision] = field(default_factory=dict)
    named: int = -1

    def record(self, decision: ModelDecision) -> None:
        stored = self.decisions.get(decision.job_id)
        if stored is None or stored.decided_at <= decision.decided_at:
            self.decisions[decision.job_id] = decision

    def decision(self, job_id: str) -> ModelDecision | None:
        return self.decisions.get(job_id)

    def alias(self) -> int:
        return self.named

    def keep_alias(self, version: int) -> None:
        self.named = version


@dataclass
class FakeObservations:
    newest: Observation = field(default_factory=Observation)

    def read(self) -> Observation:
        return self.newest

    def save(self, observation: Observation) -> None:
        if observation.observed_at >= self.newest.observed_at:
            self.newest = observation


@dataclass
class FakeReadingProgress:
    generation: int = -1
    run: int = 0
    version: int = -1
    images: int = 0
    shards: set[int] = field(default_factory=set)
    at: dict[int, tuple[int, float]] = field(default_factory=dict)
    counts: dict[int, ShardReading] = field(default_factory=dict)

    def begin(self, generation: int, version: int, images: int) -> int:
        if generation < self.generation:
            return 0
        self.generation, self.version, self.images, self.run = generation, version, images, self.run + 1
        self.shards, self.at, self.counts = set(), {}, {}
        return self.run

    def takes(self, shard: ShardReading, step: int, now: float, died: float) -> bool:
        before, busy = self.at.get(shard.shard, (-1, 0.0))
        if shard.run != self.run or step < before or (step == before and busy >= died):
            return False
        self.at[shard.shard], self.counts[shard.shard] = (step, now), shard
        return True

    def done(self, shard: ShardReading) -> None:
        if shard.run == self.run:
            self.counts[shard.shard] = shard
            self.shards.add(shard.shard)

    def newest(self) -> ReadingState | None:
        if not self.run:
            return None
        seen = sum(shard.seen for shard in self.counts.values())
        left = sum(shard.left for shard in self.counts.values())
        return ReadingState(self.run, self.version, self.images, len(self.shards), seen, left)


@dataclass
class FakeRescoring:
    order: dict[int, str] = field(default_factory=dict)
    generation: int = -1
    version: int = -1
    shards: set[int] = field(default_factory=set)
    since: str = ""
    into: dict[int, tuple[str, float]] = field(default_factory=dict)

    def begin(self, generation: int, version: int, oldest: str = "") -> None:
        if generation > self.generation or (generation == self.generation and self.since > oldest):
            self.generation, self.version, self.since, self.shards = generation, version, oldest, set()

    def done(self, generation: int, shard: int, oldest: str = "") -> None:
        if generation == self.generation and self.since >= oldest:
            self.shards.add(shard)

    def oldest(self) -> str:
        return self.since

    def progress(self) -> tuple[int, int]:
        return self.version, len(self.shards)

    def orders(self) -> dict[int, str]:
        return dict(self.order)

    def ordered(self, shard: int, order: str) -> None:
        self.order[shard] = order

    def reordering(self, shard: int, order: str, now: float) -> None:
        self.order[shard] = ""
        self.into[shard] = (order, now)

    def at_work(self, order: str, since: float) -> set[int]:
        return {shard for shard, (into, at) in self.into.items() if into == order and at >= since}
