from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from octospoon.domain import keys as hashes
from octospoon.domain.acquisition import priority, uncertainty
from octospoon.domain.entities import (
    Annotation,
    Candidate,
    JobStatus,
    LabelledImage,
    Observation,
    PoolRow,
    State,
    Sweep,
    TrainingState,
)
from octospoon.domain.errors import BadImage, BadModel, Conflict, ServiceUnavailable
from octospoon.ports import AnnotatedTask, AnnotationBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from octospoon.domain.drift import Reference
    from octospoon.domain.entities import ImageRef, ModelDecision, Pick, Prediction, Round, Task
    from octospoon.domain.model_spec import ChampionPointer


@dataclass
class FakeClock:
    time: float = 1_000_000.0

    def now(self) -> float:
        return self.time


@dataclass
class FakeImages:
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)

    def read(self, key: str) -> tuple[bytes, str]:
        if key not in self.objects:
            raise BadImage("gone", "the object was deleted before it was read")
        return self.objects[key]

    def uri(self, key: str) -> str:
        return f"s3://images/{key}"


@dataclass
class Row:
    etag: str
    sequencer: str
    state: State
    prediction: Prediction | None = None
    reason: str = ""
    detail: str = ""
    pick: Pick | None = None
    round_number: int = 0
    task_id: int = 0
    label: str | None = None
    agreement: float = 0.0
    annotators: int = 0
    arrived: str = ""


@dataclass
class FakePool:
    strategy: str = "margin_diverse"
    table: dict[str, Row] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        row = self.table.get(image.key)
        if row is None or row.state is State.QUARANTINED or self._replaces(row, image):
            arrived = hashes.day(self.clock.now())
            self.table[image.key] = Row(
                image.etag, image.sequencer, State.SCORED, prediction, arrived=arrived
            )
            return True
        return self._refresh(image.key, image.etag, prediction)

    def rescore(self, row: PoolRow, prediction: Prediction) -> bool:
        return self._refresh(row.key, row.etag, prediction)

    def put_quarantine(self, image: ImageRef, reason: str, detail: str) -> bool:
        row = self.table.get(image.key)
        again = row is not None and row.state is State.QUARANTINED and row.sequencer <= image.sequencer
        if row is None or again or self._replaces(row, image):
            self.table[image.key] = Row(
                image.etag, image.sequencer, State.QUARANTINED, reason=reason, detail=detail
            )
            return True
        return False

    @staticmethod
    def _replaces(row: Row, image: ImageRef) -> bool:
        return row.etag != image.etag and row.sequencer <= image.sequencer

    def _refresh(self, key: str, etag: str, prediction: Prediction) -> bool:
        row = self.table.get(key)
        if row is None or row.etag != etag or row.state is not State.SCORED or row.prediction is None:
            return False
        if row.prediction.model_version > prediction.model_version:
            return False
        row.prediction = prediction
        return True

    def _selectable(self, keys: Iterable[str]) -> list[Candidate]:
        rows = ((key, self.table[key]) for key in keys)
        return [
            Candidate(key, row.etag, self._priority(row), hashes.lottery(key))
            for key, row in rows
            if row.state is State.SCORED
        ]

    def _priority(self, row: Row) -> float | None:
        if row.prediction is None or row.prediction.probabilities is None:
            return None
        return priority(uncertainty(row.prediction.probabilities), self.strategy)

    def top(self, n: int) -> list[Candidate]:
        found = [one for one in self._selectable(self.table) if one.priority is not None]
        return sorted(found, key=lambda one: (-(one.priority or 0.0), one.key))[:n]

    def selectable(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        here = [
            key for key in self.table if hashes.shard(key) == shard and start < hashes.lottery(key) <= end
        ]
        found = sorted(self._selectable(here), key=lambda one: one.lottery)
        page = found[:limit]
        return page, page[-1].lottery if len(page) == limit else None

    def rows(self, keys: Sequence[str]) -> dict[str, PoolRow]:
        found = {}
        for key in keys:
            row = self.table.get(key)
            if row is None or row.prediction is None:
                continue
            said = row.prediction
            found[key] = PoolRow(
                key,
                row.etag,
                row.state,
                said.model_version,
                said.backbone,
                said.embedding,
                said.probabilities,
            )
        return found

    def claim(self, pick: Pick, round_number: int, until: float) -> bool:
        row = self.table.get(pick.key)
        if row is None:
            return False
        ours = row.round_number == round_number and row.state in (State.CLAIMED, State.EXPORTED)
        if not ours and not (row.state is State.SCORED and row.etag == pick.etag):
            return False
        row.state, row.pick, row.round_number = State.CLAIMED, pick, round_number
        return True

    def mark_exported(self, key: str, round_number: int, task_id: int) -> None:
        row = self.table[key]
        if row.round_number == round_number and row.state is State.CLAIMED:
            row.state, row.task_id = State.EXPORTED, task_id

    def arrived(self, day: str, limit: int) -> list[str]:
        seen = [key for key, row in self.table.items() if row.arrived == day and row.prediction]
        return sorted(seen, key=hashes.lottery)[:limit]

    def counts(self) -> dict[State, int]:
        return {state: sum(row.state is state for row in self.table.values()) for state in State}

    def quarantined(self, limit: int) -> list[tuple[str, str, str]]:
        found = [(key, row) for key, row in self.table.items() if row.state is State.QUARANTINED]
        return [(key, row.reason, row.detail) for key, row in found[:limit]]


@dataclass
class FakeControl:
    clock: FakeClock
    now_state: TrainingState = field(default_factory=TrainingState)

    def state(self) -> TrainingState:
        return self.now_state

    def begin(self, before: TrainingState, job_id: str, reason: str, lease_until: float) -> bool:
        if (self.now_state.jobs, self.now_state.status) != (before.jobs, before.status):
            return False
        left = self.now_state.new_labels - before.new_labels
        now, today = self.clock.now(), hashes.day(self.clock.now())
        count = before.begun_today + 1 if before.begun_day == today else 1
        self.now_state = TrainingState(
            JobStatus.LAUNCHING, job_id, before.jobs + 1, left, lease_until, reason, now, today, count
        )
        return True

    def request(self, reason: str) -> None:
        self.now_state = replace(self.now_state, requested=reason)

    def abort(self, job_id: str, labels: int) -> bool:
        if not self._is(job_id, JobStatus.LAUNCHING):
            return False
        back = self.now_state.new_labels + labels
        self.now_state = replace(self.now_state, status=JobStatus.IDLE, new_labels=back)
        return True

    def start(self, job_id: str, lease_until: float) -> bool:
        lost = self._is(job_id, JobStatus.RUNNING) and self.now_state.lease_until < self.clock.now()
        if not lost and not self._is(job_id, JobStatus.LAUNCHING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.RUNNING, lease_until=lease_until)
        return True

    def finish(self, job_id: str, reason: str) -> bool:
        if not self._is(job_id, JobStatus.RUNNING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.IDLE, reason=reason)
        return True

    def fail(self, job_id: str, reason: str) -> bool:
        if not self._is(job_id, JobStatus.LAUNCHING, JobStatus.RUNNING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.FAILED, reason=reason)
        return True

    def _is(self, job_id: str, *statuses: JobStatus) -> bool:
        return self.now_state.job_id == job_id and self.now_state.status in statuses


@dataclass
class FakeLabels:
    pool: FakePool
    control: FakeControl
    stored: dict[tuple[str, str], Annotation] = field(default_factory=dict)
    conflicts: int = 0

    def upsert(self, annotation: Annotation) -> bool:
        held = self.stored.get((annotation.key, annotation.annotation_id))
        newer = held is None or (
            not held.deleted and (held.updated_at < annotation.updated_at or annotation.deleted)
        )
        if newer:
            self.stored[annotation.key, annotation.annotation_id] = annotation
        return newer

    def find(self, number: int) -> Annotation | None:
        found = [one for one in self.stored.values() if one.number == number]
        return max(found, key=lambda one: one.updated_at, default=None)

    def of(self, key: str) -> list[Annotation]:
        return [one for one in self.stored.values() if one.key == key]

    def settle(self, key: str, label: str | None, agreement: float, annotators: int) -> int:
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody else was first")
        row = self.pool.table.get(key)
        if row is None or row.state is State.QUARANTINED:
            return 0
        delta = int(label is not None) - int(row.state is State.LABELLED)
        if delta == 0 and label is None:
            return 0
        row.state = State.EXPORTED if label is None else State.LABELLED
        row.label, row.agreement, row.annotators = label, agreement, annotators
        state = self.control.now_state
        self.control.now_state = replace(state, new_labels=state.new_labels + delta)
        return delta

    def labelled(self) -> Iterator[LabelledImage]:
        for key in sorted({key for key, _ in self.stored}):
            row = self.pool.table[key]
            if row.state is State.LABELLED and row.label is not None:
                pick = row.pick
                yield LabelledImage(
                    key=key,
                    etag=row.etag,
                    label=row.label,
                    agreement=row.agreement,
                    annotators=row.annotators,
                    audit=pick.audit if pick else False,
                    strategy=pick.strategy if pick else "",
                    draw_probability=pick.draw_probability if pick else None,
                    round_number=row.round_number,
                    arrived=row.arrived,
                )


@dataclass
class FakeRounds:
    files: dict[int, Round] = field(default_factory=dict)
    number: int = 0
    is_open: bool = False

    def open(self) -> Round | None:
        return self.files[self.number] if self.is_open else None

    def last_number(self) -> int:
        return self.number

    def begin(self, round_: Round) -> Round:
        stored = self.files.setdefault(round_.number, round_)
        if stored.number > self.number:
            self.number, self.is_open = stored.number, True
        return stored

    def close(self, number: int) -> None:
        if number == self.number:
            self.is_open = False


@dataclass
class FakeLabeler:
    tasks: dict[int, Task] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    model_version: str = ""
    lose_answers: int = 0
    clock: FakeClock = field(default_factory=FakeClock)
    annotations: dict[int, list[AnnotationBody]] = field(default_factory=dict)
    changed_at: dict[int, float] = field(default_factory=dict)
    down: bool = False
    calls: list[tuple[float, int]] = field(default_factory=list)

    def find(self, keys: Sequence[str]) -> dict[str, int]:
        return {task.key: id_ for id_, task in self.tasks.items() if task.key in keys}

    def create(self, tasks: Sequence[Task], model_version: str) -> dict[str, int]:
        created = {}
        for task in tasks:
            id_ = len(self.tasks) + 1
            self.tasks[id_] = task
            created[task.key] = id_
        if self.lose_answers:
            self.lose_answers -= 1
            raise ServiceUnavailable("the answer was lost, the tasks were created")
        return created

    def open_tasks(self) -> int:
        return len(self.tasks) - len(self.answered)

    def use_model_version(self, model_version: str) -> None:
        self.model_version = model_version

    def annotate(self, id_: int, *annotations: AnnotationBody) -> None:
        self.annotations[id_] = list(annotations)
        self.changed_at[id_] = self.clock.now()

    def changed(self, since: float, after: int, limit: int) -> list[AnnotatedTask]:
        self.calls.append((since, after))
        if self.down:
            raise ServiceUnavailable("Label Studio does not answer")
        wanted = [id_ for id_ in sorted(self.tasks) if id_ > after and self.changed_at.get(id_, 0) >= since]
        return [self._annotated(id_) for id_ in wanted[:limit]]

    def _annotated(self, id_: int) -> AnnotatedTask:
        task = self.tasks[id_]
        data = {"key": task.key, "etag": task.etag} if task.key else {}
        return AnnotatedTask(id_, data, list(self.annotations.get(id_, ())))

    def has(self, annotation: Annotation) -> bool:
        bodies = [body for each in self.annotations.values() for body in each]
        return any(body.unique_id == annotation.annotation_id for body in bodies)


@dataclass
class FakeSweeps:
    sweep: Sweep = field(default_factory=Sweep)

    def read(self) -> Sweep:
        return self.sweep

    def save(self, before: Sweep, sweep: Sweep) -> bool:
        if self.sweep != before:
            return False
        self.sweep = sweep
        return True


@dataclass
class FakeLauncher:
    launched: list[str] = field(default_factory=list)
    down: bool = False

    def launch(self, job_id: str) -> None:
        if self.down:
            raise ServiceUnavailable("no capacity")
        self.launched.append(job_id)


@dataclass
class FakeChampions:
    current: ChampionPointer | None = None
    etag: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    versions: dict[int, ChampionPointer] = field(default_factory=dict)
    down: bool = False

    def set(self, pointer: ChampionPointer) -> None:
        self.current, self.etag = pointer, self.etag + 1

    def pointer(self) -> tuple[ChampionPointer, str] | None:
        return self.changed("")

    def changed(self, etag: str) -> tuple[ChampionPointer, str] | None:
        if self.down:
            raise ServiceUnavailable("S3 does not answer")
        if self.current is None or etag == str(self.etag):
            return None
        return self.current, str(self.etag)

    def fetch(self, pointer: ChampionPointer, folder: Path) -> Path:
        if pointer.sha256 not in self.files:
            raise BadModel("there is no such file")
        path = folder / f"{pointer.sha256}.onnx"
        path.write_bytes(self.files[pointer.sha256])
        return path

    def keep(self, pointer: ChampionPointer) -> None:
        self.versions[pointer.version] = pointer

    def version(self, version: int) -> ChampionPointer | None:
        return self.versions.get(version)

    def promote(self, pointer: ChampionPointer, expected_etag: str | None) -> bool:
        if expected_etag != (None if self.current is None else str(self.etag)):
            return False
        self.set(pointer)
        return True


@dataclass
class FakeReferences:
    stored: dict[str, Reference] = field(default_factory=dict)

    def put(self, model_sha256: str, reference: Reference) -> None:
        self.stored.setdefault(model_sha256, reference)

    def get(self, model_sha256: str) -> Reference | None:
        return self.stored.get(model_sha256)


@dataclass
class FakeHistory:
    decisions: dict[str, ModelDecision] = field(default_factory=dict)
    named: int = -1

    def record(self, decision: ModelDecision) -> None:
        held = self.decisions.get(decision.job_id)
        if held is None or held.decided_at <= decision.decided_at:
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
