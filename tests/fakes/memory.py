from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.pool import score_history as past
from octospoon.adapters.imaging.file_kinds import format_of
from octospoon.domain.errors import BadImage, BadModel, Conflict, ServiceUnavailable, VersionTaken
from octospoon.domain.labelling.answers import PROBLEMS, UncountedAnswer, UncountedAnswers
from octospoon.domain.labelling.reconciliation import FullAudit, PoolEntry, TaskSync
from octospoon.domain.labelling.removals import Proposal
from octospoon.domain.labelling.tasks import Annotation, LabelledImage, LabelState, Pick, TaskCounts
from octospoon.domain.monitoring.observations import Observation
from octospoon.domain.pool import keys as hashes
from octospoon.domain.pool.images import (
    ARCHIVED,
    Candidate,
    ImageBytes,
    ImageRef,
    KnownScore,
    PoolRow,
    State,
    StoredObject,
)
from octospoon.domain.pool.score_history import PreviousPick, PreviousUpload, Score, returned
from octospoon.domain.trace import ImageRecord, StoredVersion
from octospoon.domain.training.jobs import JobSettings, JobStatus, TrainingState
from octospoon.domain.uncertainty import priority, uncertainty
from octospoon.ports.labelling import AnnotatedTask, AnnotationBody, PredictedTask, TaskBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from octospoon.domain.labelling.consensus import Consensus
    from octospoon.domain.labelling.tasks import Guess, Round, Task
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.monitoring.drift import Reference
    from octospoon.domain.monitoring.observations import ModelDecision
    from octospoon.domain.pool.images import Prediction, ScoredImage


@dataclass
class FakeClock:
    time: float = 1_000_000.0

    def now(self) -> float:
        return self.time


@dataclass
class FakeImages:
    objects: dict[str, tuple[bytes, str] | tuple[bytes, str, str]] = field(default_factory=dict)

    def read(self, key: str) -> ImageBytes:
        if key not in self.objects:
            raise BadImage("gone", "the object was deleted before it was read")
        return ImageBytes(*self.objects[key])

    def uri(self, key: str) -> str:
        return f"s3://images/{key}"


@dataclass
class FakeInbox:
    added: dict[str, bytes] = field(default_factory=dict)

    def add(self, data: bytes) -> str:
        kind = format_of(data).lower()
        key = f"predict/{hashlib.sha256(data).hexdigest()}.{'jpg' if kind == 'jpeg' else kind}"
        self.added.setdefault(key, data)
        return key


@dataclass
class FakeBlindImages:
    """Over a pool, or some keys by hand."""

    pool: FakePool | None = None
    keys: set[str] = field(default_factory=set)

    def among(self, keys: Sequence[str]) -> set[str]:
        rows = self.pool.table if self.pool else {}
        blind = {key for key, row in rows.items() if row.pick and row.pick.blind}
        return (blind | self.keys) & set(keys)


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
    claim_until: float = 0.0
    revision: int = 0
    counted_in: int = -1
    scores: tuple[Score, ...] = ()
    previous_uploads: tuple[PreviousUpload, ...] = ()
    scored_at: float = 0.0
    exported_at: float | None = None
    labelled_at: float | None = None
    quarantined_at: float | None = None
    arrived: str = ""
    size: int = 0
    object_etag: str = ""


@dataclass
class FakePool:
    strategy: str = "margin_diverse"
    table: dict[str, Row] = field(default_factory=dict)
    control: FakeControl | None = None
    clock: FakeClock = field(default_factory=FakeClock)

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        fresh = Row(image.etag, image.sequencer, State.SCORED, prediction)
        if self._put(image, fresh):
            return True
        self.note_upload(image)
        return self._refresh(image.key, image.etag, prediction)

    def note_upload(self, image: ImageRef) -> None:
        row = self.table.get(image.key)
        if row is not None and row.etag == image.etag and row.sequencer <= image.sequencer:
            row.sequencer, row.object_etag = image.sequencer, image.object_etag

    def _put(self, image: ImageRef, fresh: Row) -> bool:
        row = self.table.get(image.key)
        if row is not None:
            if row.sequencer > image.sequencer:
                return False
            if row.etag == image.etag and row.state is not State.QUARANTINED:
                return False
            if row.state is State.LABELLED and self.control:
                self.control.change(-1, row.counted_in)
            earlier = (*row.previous_uploads, self._as_previous(row))
            fresh.previous_uploads = earlier[-past.UPLOADS :]
            if fresh.state is State.SCORED and (back := returned(earlier, fresh.etag)) and back.pick:
                kept = back.pick
                fresh.pick = Pick(
                    image.key,
                    fresh.etag,
                    kept.audit,
                    kept.strategy,
                    kept.score,
                    kept.rank,
                    kept.draw_probability,
                )
                fresh.round_number, fresh.task_id = back.round_number, back.task_id
                fresh.exported_at = kept.exported_at
        fresh.object_etag = image.object_etag
        fresh.arrived, fresh.size = hashes.day(self.clock.now()), image.size
        self._keep_score(fresh)
        self.table[image.key] = fresh
        return True

    def _as_previous(self, row: Row) -> PreviousUpload:
        return PreviousUpload(
            row.etag,
            row.sequencer,
            row.state,
            self.clock.now(),
            row.scores,
            row.round_number,
            row.task_id,
            row.label,
            row.reason,
            row.object_etag,
            self._previous_pick(row),
        )

    @staticmethod
    def _previous_pick(row: Row) -> PreviousPick | None:
        if row.pick is None or row.label is None:
            return None
        pick = row.pick
        return PreviousPick(
            pick.strategy, pick.audit, pick.score, pick.rank, pick.draw_probability, row.exported_at
        )

    def _keep_score(self, row: Row) -> None:
        if row.prediction is None:
            return
        said, row.scored_at = row.prediction, self.clock.now()
        doubt = None if said.probabilities is None else uncertainty(said.probabilities)
        top, confidence = (doubt.top_class, doubt.confidence) if doubt else (None, None)
        slot = said.generation % past.SCORES
        kept = [one for one in row.scores if one.generation % past.SCORES != slot]
        kept.append(Score(self.clock.now(), said.model_version, said.generation, top, confidence))
        row.scores = tuple(sorted(kept, key=lambda one: (one.generation, one.at)))

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        new = {one.image.key: one for one in scored if one.image.key not in self.table}
        for one in new.values():
            fresh = Row(one.image.etag, one.image.sequencer, State.SCORED, one.prediction)
            self._put(one.image, fresh)
        return set(new)

    def scored(self, keys: Sequence[str]) -> dict[str, KnownScore]:
        rows = {key: self.table[key] for key in keys if key in self.table}
        return {
            key: KnownScore(
                row.etag,
                row.prediction.model_version,
                row.prediction.backbone,
                row.sequencer,
                row.object_etag,
            )
            for key, row in rows.items()
            if row.prediction
        }

    def rescore(self, rows: Sequence[PoolRow], predictions: Sequence[Prediction]) -> set[str]:
        written = set()
        for row, said in zip(rows, predictions, strict=True):
            kept = replace(said, embedding=row.embedding, backbone=row.backbone)
            if self._refresh(row.key, row.etag, kept):
                written.add(row.key)
        return written

    def reembed(self, rows: Sequence[PoolRow]) -> set[str]:
        written = set()
        for fresh in rows:
            row = self.table.get(fresh.key)
            if row and row.prediction and row.state is State.LABELLED and row.etag == fresh.etag:
                row.prediction = replace(row.prediction, backbone=fresh.backbone, embedding=fresh.embedding)
                written.add(fresh.key)
        return written

    def put_quarantine(self, image: ImageRef, reason: str, detail: str) -> bool:
        fresh = Row(image.etag, image.sequencer, State.QUARANTINED, reason=reason, detail=detail)
        fresh.quarantined_at = self.clock.now()
        if self._put(image, fresh):
            return True
        self.note_upload(image)
        return False

    def _refresh(self, key: str, etag: str, prediction: Prediction) -> bool:
        row = self.table.get(key)
        if row is None or row.etag != etag or row.state is not State.SCORED or row.prediction is None:
            return False
        if row.prediction.generation > prediction.generation:
            return False
        row.prediction = prediction
        self._keep_score(row)
        return True

    def _selectable(self, keys: Iterable[str]) -> list[Candidate]:
        rows = ((key, self.table[key]) for key in keys)
        return [
            Candidate(key, row.etag, self._priority(row), hashes.sampling_key(key))
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
            key
            for key in self.table
            if hashes.shard(key) == shard and start < hashes.sampling_key(key) <= end
        ]
        found = sorted(self._selectable(here), key=lambda one: one.sampling_key)
        page = found[:limit]
        return page, page[-1].sampling_key if len(page) == limit else None

    def rows(self, keys: Sequence[str]) -> dict[str, PoolRow]:
        found = {}
        for key in keys:
            row = self.table.get(key)
            if row is None or row.prediction is None or row.state is State.QUARANTINED:
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
                said.generation,
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
        row.claim_until = until
        return True

    def mark_exported(self, key: str, round_number: int, task_id: int) -> None:
        row = self.table[key]
        row.claim_until = 0.0 if row.state is State.CLAIMED else row.claim_until
        if row.round_number == round_number and row.state is State.CLAIMED:
            row.state, row.task_id, row.exported_at = State.EXPORTED, task_id, self.clock.now()

    def arrived(self, day: str, limit: int) -> list[str]:
        seen = [key for key, row in self.table.items() if row.arrived == day and row.prediction]
        return sorted(seen, key=hashes.sampling_key)[:limit]

    def uploaded(self, shard: int, day: str, start: float, limit: int) -> tuple[list[str], float | None]:
        here = [key for key, row in self.table.items() if row.arrived == day and row.prediction]
        page = self._beyond(here, shard, start)[:limit]
        return page, hashes.sampling_key(page[-1]) if len(page) == limit else None

    def outdated(
        self, shard: int, generation: int, before: float, oldest: str, start: float, limit: int
    ) -> tuple[list[str], float | None]:
        here = [key for key, row in self.table.items() if row.state is State.SCORED]
        here = self._beyond(here, shard, start)
        page = {key: self.table[key] for key in here[:limit]}
        found = [
            key
            for key, row in page.items()
            if row.prediction and (row.prediction.generation < generation or row.scored_at < before)
            if row.arrived >= oldest
        ]
        return found, hashes.sampling_key(here[limit - 1]) if len(here) >= limit else None

    @staticmethod
    def _beyond(keys: Iterable[str], shard: int, start: float) -> list[str]:
        here = [key for key in keys if hashes.shard(key) == shard and start < hashes.sampling_key(key)]
        return sorted(here, key=hashes.sampling_key)

    def stale_backbone(self, backbone: str) -> Iterator[ImageRef]:
        for key, row in self.table.items():
            if row.state is State.SCORED and row.prediction and row.prediction.backbone != backbone:
                yield ImageRef(key, row.etag, row.sequencer, row.size)

    def counts(self) -> dict[State, int]:
        return {state: sum(row.state is state for row in self.table.values()) for state in State}

    def quarantined(self, limit: int) -> list[tuple[str, str, str]]:
        found = [(key, row) for key, row in self.table.items() if row.state is State.QUARANTINED]
        return [(key, row.reason, row.detail) for key, row in found[:limit]]


@dataclass
class FakeEntries:
    pool: FakePool

    def entries(self, keys: Sequence[str]) -> dict[str, PoolEntry]:
        return {key: self._entry(key) for key in keys if key in self.pool.table}

    def _entry(self, key: str) -> PoolEntry:
        row = self.pool.table[key]
        return PoolEntry(
            key,
            row.etag,
            row.state,
            row.sequencer,
            row.round_number,
            row.claim_until,
            row.reason,
            row.object_etag,
        )

    def page(self, after: str, limit: int) -> tuple[list[PoolEntry], str]:
        keys = sorted(key for key in self.pool.table if key > after)
        page = [self._entry(key) for key in keys[:limit]]
        return page, page[-1].key if len(keys) > limit else ""

    def adopt(self, entry: PoolEntry, task_id: int) -> bool:
        return self._move(entry, State.EXPORTED, task_id=task_id, exported_at=None)

    def release(self, entry: PoolEntry) -> bool:
        return self._move(entry, State.SCORED, task_id=0, exported_at=None)

    def withdraw(self, entry: PoolEntry, reason: str, detail: str) -> bool:
        return self._move(entry, State.QUARANTINED, reason=reason, detail=detail)

    def _move(self, entry: PoolEntry, state: State, **values: object) -> bool:
        row = self.pool.table.get(entry.key)
        if row is None or self._entry(entry.key) != entry:
            return False
        row.state, row.claim_until = state, 0.0
        for name, value in values.items():
            setattr(row, name, value)
        return True


@dataclass
class FakeRecords:
    pool: FakePool

    def record(self, key: str) -> ImageRecord | None:
        row = self.pool.table.get(key)
        if row is None:
            return None
        return ImageRecord(
            key,
            row.etag,
            row.sequencer.ljust(32, "0"),
            row.state,
            row.scores,
            row.task_id,
            row.exported_at,
            row.label,
            row.agreement,
            row.annotators,
            row.labelled_at,
            row.reason,
            row.detail,
            row.quarantined_at,
            row.previous_uploads,
            row.object_etag,
        )


@dataclass
class FakeVersions:
    stored: dict[str, list[StoredVersion]] = field(default_factory=dict)

    def versions(self, key: str) -> list[StoredVersion]:
        return list(self.stored.get(key, ()))


@dataclass
class FakeBucket:
    objects: dict[str, StoredObject] = field(default_factory=dict)

    def listing(self, after: str, limit: int) -> list[StoredObject]:
        return [self.objects[key] for key in sorted(key for key in self.objects if key > after)[:limit]]

    def problem(self, key: str) -> BadImage | None:
        if key not in self.objects:
            return BadImage("gone", "there is no such object")
        return BadImage(ARCHIVED, "") if self.objects[key].archived else None


@dataclass
class FakeUploads:
    sent: list[ImageRef] = field(default_factory=list)

    def send(self, image: ImageRef) -> None:
        self.sent.append(image)


@dataclass
class FakeControl:
    clock: FakeClock
    now_state: TrainingState = field(default_factory=TrainingState)

    def change(self, delta: int, counted_in: int) -> int:
        """Count one label more or less; return the image's new `counted_in`."""
        state = self.now_state
        amount = delta if delta > 0 or counted_in >= state.since else 0
        self.now_state = replace(state, new_labels=state.new_labels + amount)
        return state.jobs if delta > 0 else -1

    def state(self) -> TrainingState:
        return self.now_state

    def begin(
        self,
        before: TrainingState,
        job_id: str,
        reason: str,
        lease_until: float,
        settings: JobSettings | None = None,
    ) -> bool:
        now = self.now_state
        if (now.jobs, now.status, now.new_labels) != (before.jobs, before.status, before.new_labels):
            return False
        self.now_state = TrainingState(
            JobStatus.LAUNCHING,
            job_id,
            before.jobs + 1,
            0,
            lease_until,
            reason,
            since=before.jobs + 1,
            begun_at=self.clock.now(),
            begun_day=(today := hashes.day(self.clock.now())),
            begun_today=before.begun_today + 1 if before.begun_day == today else 1,
            settings=settings,
            project_classes=now.project_classes,
        )
        return True

    def keep_classes(self, classes: tuple[str, ...]) -> None:
        self.now_state = replace(self.now_state, project_classes=classes)

    def request(self, reason: str) -> None:
        self.now_state = replace(self.now_state, requested=reason)

    def abort(self, job_id: str, before: TrainingState) -> bool:
        if not self._is(job_id, JobStatus.LAUNCHING):
            return False
        back = self.now_state.new_labels + before.new_labels
        self.now_state = replace(self.now_state, status=JobStatus.IDLE, new_labels=back, since=before.since)
        return True

    def start(self, job_id: str, lease_until: float) -> bool:
        lost = self._is(job_id, JobStatus.RUNNING) and self.now_state.lease_until < self.clock.now()
        if not lost and not self._is(job_id, JobStatus.LAUNCHING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.RUNNING, lease_until=lease_until)
        return True

    def renew(self, job_id: str, lease_until: float) -> bool:
        if not self._is(job_id, JobStatus.RUNNING):
            return False
        self.now_state = replace(self.now_state, lease_until=lease_until)
        return True

    def finish(self, job_id: str, reason: str) -> bool:
        if not self._is(job_id, JobStatus.RUNNING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.IDLE, reason=reason)
        return True

    def fail(self, job_id: str, reason: str, retry_at: float) -> bool:
        if not self._is(job_id, JobStatus.LAUNCHING, JobStatus.RUNNING):
            return False
        self.now_state = replace(self.now_state, status=JobStatus.FAILED, reason=reason, lease_until=retry_at)
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

    def find(self, number: int, project: str) -> Annotation | None:
        found = [one for one in self.stored.values() if (one.number, one.project) == (number, project)]
        return max(found, key=lambda one: (not one.deleted, one.updated_at), default=None)

    def of(self, key: str) -> list[Annotation]:
        return [one for one in self.stored.values() if one.key == key]

    def replace(self, before: Annotation, annotation: Annotation) -> bool:
        held = self.stored.get((annotation.key, annotation.annotation_id))
        same = held and (held.updated_at, held.deleted) == (before.updated_at, before.deleted)
        if same:
            self.stored[annotation.key, annotation.annotation_id] = annotation
        return bool(same)

    def keys(self, after: str, limit: int) -> tuple[list[str], str]:
        keys = sorted({key for key, _ in self.stored if key > after})
        return keys[:limit], keys[limit - 1] if len(keys) > limit else ""

    def label_state(self, key: str) -> LabelState | None:
        row = self.pool.table.get(key)
        if row is None or row.state is State.QUARANTINED:
            return None
        return LabelState(
            key,
            row.etag,
            row.state,
            row.label,
            row.agreement,
            row.annotators,
            row.revision,
            row.counted_in,
        )

    def resolve_label(self, before: LabelState, agreed: Consensus) -> int:
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody else was first")
        row, now = self.pool.table.get(before.key), self.label_state(before.key)
        label = agreed.label
        delta = int(label is not None) - int(before.state is State.LABELLED)
        said = (label, agreed.agreement, agreed.annotators)
        if delta == 0 and (label is None or (before.label, before.agreement, before.annotators) == said):
            return 0
        view = (before.state, before.etag, before.revision)
        if row is None or now is None or (now.state, now.etag, now.revision) != view:
            raise Conflict("the image changed meanwhile")
        row.state = State.EXPORTED if label is None else State.LABELLED
        row.label, row.agreement, row.annotators = said
        row.revision, row.claim_until = row.revision + 1, 0.0
        row.labelled_at = self.pool.clock.now() if label is not None else None
        if delta:
            row.counted_in = self.control.change(delta, before.counted_in)
        return delta

    def uncounted(self, examples: int) -> UncountedAnswers:
        counts, named = dict.fromkeys(PROBLEMS, 0), []
        for one in self.stored.values():
            row = self.pool.table.get(one.key)
            gone = row is None or row.state is State.QUARANTINED
            if one.deleted or not one.problem or not (gone or self._open(row, one)):
                continue
            counts[one.problem] += 1
            if counts[one.problem] <= examples:
                task = row.task_id if row and row.task_id else 0
                named.append(UncountedAnswer(one.key, task, one.number, one.problem))
        return UncountedAnswers(counts, tuple(named))

    @staticmethod
    def _open(row: Row | None, one: Annotation) -> bool:
        return row is not None and row.etag == one.etag and row.state is not State.LABELLED

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
                    blind=pick.blind if pick else False,
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
    export_until: float = 0.0
    predicting_until: float = 0.0

    def read(self, number: int) -> Round | None:
        return self.files.get(number)

    def acquire(self, number: int, now: float, until: float) -> bool:
        if not self.is_open or number != self.number or self.export_until >= now:
            return False
        self.export_until = until
        return True

    def release(self, number: int, until: float) -> None:
        if (number, until) == (self.number, self.export_until):
            self.export_until = 0.0

    def open(self) -> Round | None:
        return self.files[self.number] if self.is_open else None

    def last_number(self) -> int:
        return self.number

    def begin(self, round_: Round) -> Round:
        stored = self.files.setdefault(round_.number, round_)
        if stored.number > self.number:
            self.number, self.is_open, self.export_until = stored.number, True, 0.0
        return stored

    def acquire_predictions(self, now: float, until: float) -> bool:
        if self.predicting_until >= now:
            return False
        self.predicting_until = until
        return True

    def release_predictions(self, until: float) -> None:
        if until == self.predicting_until:
            self.predicting_until = 0.0

    def close(self, number: int) -> None:
        if number == self.number:
            self.is_open = False


@dataclass
class FakeRescoring:
    order: dict[int, str] = field(default_factory=dict)
    generation: int = -1
    version: int = -1
    shards: set[int] = field(default_factory=set)
    since: str = ""

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


@dataclass
class FakeLabeler:
    tasks: dict[int, Task] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    model_version: str = ""
    lose_answers: int = 0
    clock: FakeClock = field(default_factory=FakeClock)
    annotations: dict[int, list[AnnotationBody]] = field(default_factory=dict)
    changed_at: dict[int, float] = field(default_factory=dict)
    made_at: dict[int, float] = field(default_factory=dict)
    predictions: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    down: bool = False
    name: str = "1 of 2026-01-01T00:00:00Z"
    calls: list[tuple[float, int]] = field(default_factory=list)

    def find(self, etags: Mapping[str, str]) -> dict[str, int]:
        found = sorted(self.tasks.items(), reverse=True)
        return {task.key: id_ for id_, task in found if etags.get(task.key) == task.etag}

    def tasks_of(self, keys: Sequence[str]) -> list[AnnotatedTask]:
        return [self._annotated(id_) for id_, task in self.tasks.items() if task.key and task.key in keys]

    def delete(self, task_id: int) -> bool:
        if self.annotations.get(task_id):
            return False
        self.tasks.pop(task_id, None)
        return True

    def create(self, tasks: Sequence[Task], model_version: str) -> dict[str, int]:
        created = {}
        for task in tasks:
            id_ = max(self.tasks, default=0) + 1  # SQLite gives the highest number again once it is free
            self.tasks[id_] = task
            self.changed_at[id_] = self.made_at[id_] = self.clock.now()
            self.predictions[id_] = [(model_version, task.label)] if task.label else []
            created[task.key] = id_
        if self.lose_answers:
            self.lose_answers -= 1
            raise ServiceUnavailable("the answer was lost, the tasks were created")
        return created

    def task_counts(self, since: float = 0.0) -> TaskCounts:
        ours = [id_ for id_, task in self.tasks.items() if task.key and task.etag]
        waiting = [id_ for id_ in ours if self._unanswered(id_) and id_ not in self.answered]
        old = [id_ for id_ in waiting if self.made_at.get(id_, self.clock.now()) < since]
        not_ours = [id_ for id_ in self.tasks if id_ not in ours]
        return TaskCounts(
            waiting=len(waiting) - len(old),
            skipped=sum(self._skipped(id_) for id_ in ours),
            abandoned=len(old),
            not_ours=len(not_ours),
            not_ours_answered=sum(not self._unanswered(id_) and not self._skipped(id_) for id_ in not_ours),
        )

    def not_ours(self, limit: int) -> list[TaskBody]:
        wanted = [id_ for id_, task in sorted(self.tasks.items()) if not (task.key and task.etag)]
        return [self._annotated(id_) for id_ in wanted[:limit]]

    def _unanswered(self, id_: int) -> bool:
        return not self.annotations.get(id_)

    def _skipped(self, id_: int) -> bool:
        bodies = self.annotations.get(id_, [])
        return bool(bodies) and all(body.was_cancelled for body in bodies)

    def annotate(self, id_: int, *annotations: AnnotationBody) -> None:
        self.annotations[id_] = list(annotations)
        self.changed_at[id_] = self.clock.now()

    def changed(self, since: float, after: int, limit: int) -> list[TaskBody]:
        self.calls.append((since, after))
        if self.down:
            raise ServiceUnavailable("Label Studio does not answer")
        wanted = [id_ for id_ in sorted(self.tasks) if id_ > after and self.changed_at.get(id_, 0) >= since]
        return [self._annotated(id_) for id_ in wanted[:limit]]

    def waiting(self, after: int, limit: int, since: float = 0.0) -> list[TaskBody]:
        wanted = [
            id_
            for id_ in sorted(self.tasks)
            if id_ > after and self._unanswered(id_) and id_ not in self.answered
            if self.made_at.get(id_, self.clock.now()) >= since
        ]
        return [self._annotated(id_) for id_ in wanted[:limit]]

    def _annotated(self, id_: int) -> AnnotatedTask:
        task = self.tasks[id_]
        data = {"key": task.key, "etag": task.etag} if task.key else {}
        return AnnotatedTask(id_, data, list(self.annotations.get(id_, ())))

    def project(self) -> str:
        return self.name

    def has(self, annotation: Annotation) -> bool:
        bodies = [body for each in self.annotations.values() for body in each]
        return any(body.unique_id == annotation.annotation_id for body in bodies)


@dataclass
class FakePredictions:
    labeler: FakeLabeler
    lose_answers: int = 0

    def version(self) -> str:
        return self.labeler.model_version

    def show(self, version: str) -> bool:
        said = (name for given in self.labeler.predictions.values() for name, _ in given)
        if version not in said:
            return False
        self.labeler.model_version = version
        return True

    def tasks(self, after: int, limit: int) -> list[PredictedTask]:
        labeler = self.labeler
        wanted = [
            id_
            for id_ in sorted(labeler.tasks)
            if id_ > after and labeler.predictions.get(id_)
            if labeler._unanswered(id_) or labeler._skipped(id_)
        ]
        return [self._task(id_) for id_ in wanted[:limit]]

    def _task(self, id_: int) -> PredictedTask:
        task = self.labeler.tasks[id_]
        versions = [version for version, _ in self.labeler.predictions[id_]]
        return PredictedTask(id_, {"key": task.key, "etag": task.etag}, versions)

    def add(self, guesses: Sequence[Guess], version: str) -> None:
        for one in guesses:
            self.labeler.predictions[one.task].append((version, one.label))
        if self.lose_answers:
            self.lose_answers -= 1
            raise ServiceUnavailable("the answer was lost, the predictions were added")


@dataclass
class FakeTaskSyncs:
    progress: TaskSync = field(default_factory=TaskSync)

    def read(self) -> TaskSync:
        return self.progress

    def save(self, before: TaskSync, sync: TaskSync) -> bool:
        if self.progress != before:
            return False
        self.progress = sync
        return True


@dataclass
class FakeMissing:
    pages: dict[str, dict[str, list[Annotation]]] = field(default_factory=dict)

    def add(self, walk: str, page: str, annotations: Sequence[Annotation]) -> None:
        self.pages.setdefault(walk, {}).setdefault(page, list(annotations))

    def of(self, walk: str) -> list[Annotation]:
        found = {one.annotation_id: one for page in self.pages.get(walk, {}).values() for one in page}
        return sorted(found.values(), key=lambda one: (one.key, one.annotation_id))


@dataclass
class FakeProposals:
    newest: Proposal = field(default_factory=Proposal)

    def read(self) -> Proposal:
        return self.newest

    def save(self, before: Proposal, proposal: Proposal) -> bool:
        if (self.newest.id, self.newest.accepted) != (before.id, before.accepted):
            return False
        self.newest = proposal
        return True


@dataclass
class FakeFullAudits:
    full_audit: FullAudit = field(default_factory=FullAudit)

    def read(self) -> FullAudit:
        return self.full_audit

    def save(self, before: FullAudit, full_audit: FullAudit) -> bool:
        if self.full_audit != before:
            return False
        self.full_audit = full_audit
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
