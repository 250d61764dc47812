"""Annotations, rounds and the state of reconciliation in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octospoon.domain.errors import Conflict
from octospoon.domain.labelling.answers import PROBLEMS, UncountedAnswer, UncountedAnswers
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.labelling.reconciliation import FullAudit, TaskSync
from octospoon.domain.labelling.removals import Proposal
from octospoon.domain.labelling.tasks import Annotation, LabelState, Pick, Round
from octospoon.domain.pool.images import State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.labelled import labelled_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fakes.pool import FakePool, Row
    from fakes.training import FakeControl
    from octospoon.domain.labelling.consensus import Consensus
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.task_types.task_type import TaskType


@dataclass
class FakeLabels:
    pool: FakePool
    control: FakeControl
    stored: dict[tuple[str, str], Annotation] = field(default_factory=dict)
    conflicts: int = 0
    classes: ClassHistory = field(default_factory=ClassHistory)
    task_type: TaskType = CLASSIFICATION

    def upsert(self, annotation: Annotation) -> bool:
        stored = self.stored.get((annotation.key, annotation.annotation_id))
        newer = stored is None or (
            not stored.deleted and (stored.updated_at < annotation.updated_at or annotation.deleted)
        )
        if newer:
            self.stored[annotation.key, annotation.annotation_id] = annotation
        return newer

    def find(self, number: int, project: str) -> Annotation | None:
        same_number = [
            annotation
            for annotation in self.stored.values()
            if (annotation.number, annotation.project) == (number, project)
        ]
        return max(same_number, key=lambda stored: (not stored.deleted, stored.updated_at), default=None)

    def of(self, key: str) -> list[Annotation]:
        return [annotation for annotation in self.stored.values() if annotation.key == key]

    def replace(self, before: Annotation, annotation: Annotation) -> bool:
        stored = self.stored.get((annotation.key, annotation.annotation_id))
        same = stored and (stored.updated_at, stored.deleted) == (before.updated_at, before.deleted)
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
            row.pick.audit if row.pick else False,
        )

    def resolve_label(self, before: LabelState, agreed: Consensus) -> int:
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody else was first")
        row, now = self.pool.table.get(before.key), self.label_state(before.key)
        label = agreed.label
        delta = int(label is not None) - int(before.state is State.LABELLED)
        result = (label, agreed.agreement, agreed.annotators)
        if delta == 0 and (label is None or (before.label, before.agreement, before.annotators) == result):
            return 0
        view = (before.state, before.etag, before.revision)
        if row is None or now is None or (now.state, now.etag, now.revision) != view:
            raise Conflict("the image changed meanwhile")
        if agreed.imported and row.state is State.SCORED:
            row.pick = Pick(before.key, row.etag, False, IMPORTED, None, 0, None)
            row.round_number, row.task_id, row.exported_at = 0, 0, None
        row.state = State.EXPORTED if label is None else State.LABELLED
        row.label, row.agreement, row.annotators = result
        row.revision, row.claim_until = row.revision + 1, 0.0
        row.labelled_at = self.pool.clock.now() if label is not None else None
        if delta:
            row.counted_in = self.control.change(delta, before.counted_in)
        return delta

    def uncounted(self, examples: int) -> UncountedAnswers:
        counts, named = dict.fromkeys(PROBLEMS, 0), []
        for annotation in self.stored.values():
            row = self.pool.table.get(annotation.key)
            missing = row is None or row.state is State.QUARANTINED
            if (
                annotation.deleted
                or annotation.problem not in PROBLEMS
                or not (missing or self._open(row, annotation))
            ):
                continue
            counts[annotation.problem] += 1
            if counts[annotation.problem] <= examples:
                task = row.task_id if row and row.task_id else 0
                named.append(UncountedAnswer(annotation.key, task, annotation.number, annotation.problem))
        return UncountedAnswers(counts, tuple(named))

    @staticmethod
    def _open(row: Row | None, annotation: Annotation) -> bool:
        return row is not None and row.etag == annotation.etag and row.state is not State.LABELLED

    def labelled(self) -> Iterator[LabelledImage]:
        keys = {key for key, _ in self.stored}
        images = sorted((i for i in self.pool.labelled() if i.key in keys), key=lambda i: i.key)
        return labelled_now(images, self.task_type.labels, self.classes)


@dataclass
class FakeRounds:
    files: dict[int, Round] = field(default_factory=dict)
    number: int = 0
    is_open: bool = False
    export_until: float = 0.0
    predicting_until: float = 0.0
    sent: str = ""

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

    def release_predictions(self, until: float, sent: str = "") -> None:
        if until == self.predicting_until:
            self.predicting_until, self.sent = 0.0, sent

    def predictions_sent(self) -> str:
        return self.sent

    def close(self, number: int) -> None:
        if number == self.number:
            self.is_open = False


@dataclass
class FakeMissing:
    pages: dict[str, dict[str, list[Annotation]]] = field(default_factory=dict)

    def add(self, walk: str, page: str, annotations: Sequence[Annotation]) -> None:
        self.pages.setdefault(walk, {}).setdefault(page, list(annotations))

    def of(self, walk: str) -> list[Annotation]:
        pages = self.pages.get(walk, {}).values()
        missing = {annotation.annotation_id: annotation for page in pages for annotation in page}
        return sorted(missing.values(), key=lambda annotation: (annotation.key, annotation.annotation_id))


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
class FakeFullAudits:
    full_audit: FullAudit = field(default_factory=FullAudit)

    def read(self) -> FullAudit:
        return self.full_audit

    def save(self, before: FullAudit, full_audit: FullAudit) -> bool:
        if self.full_audit != before:
            return False
        self.full_audit = full_audit
        return True
