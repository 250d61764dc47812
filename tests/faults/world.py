"""All systems that octospoon uses, in memory, with possible faults between any two calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from fakes.label_studio import FakeLabeler
from fakes.world import FakeWorld

from octospoon.adapters.label_studio.choices import choice
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.events import Published
from octospoon.domain.monitoring.observations import DriftExample, Observation
from octospoon.domain.pool.images import ImageRef, Prediction, State, StoredObject, same_bytes
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.jobs import JobStatus
from octospoon.domain.training.policy import TrainingRules, due, numbered
from octospoon.ports.labelling import AnnotationBody, Message, TaskBody
from octospoon.usecases.reconcile import FULL_EVERY
from octospoon.usecases.resolve_label import ResolveLabel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fakes.pool import FakePool

    from octospoon.domain.labelling.tasks import Task

CLASSES = ("cat", "dog")
THRESHOLD = 3
RULES = TrainingRules(THRESHOLD, per_day=10**6)
CREATED = "2026-01-01T00:00:00Z"
"""When the project was made; see `FakeLabeler.name`."""
LATER = 4000.0
"""Seconds after which every lease and claim is over."""


class Died(BaseException):
    """The process was killed: no handler catches this."""


@dataclass
class Faults:
    """The fault at each call of the running use case."""

    plan: dict[int, Callable[[], None]] = field(default_factory=dict)
    at: int = 0
    happened: Counter[str] = field(default_factory=Counter)

    def tick(self) -> None:
        self.at += 1
        if (fault := self.plan.pop(self.at, None)) is not None:
            fault()

    def die(self) -> None:
        self.happened["died"] += 1
        raise Died

    def refuse(self) -> None:
        self.happened["unavailable"] += 1
        raise ServiceUnavailable("no answer")


class Between:
    """A port whose calls may fail before or after their effect."""

    def __init__(self, port: Any, faults: Faults) -> None:
        self._port, self._faults = port, faults

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            self._faults.tick()
            result = attribute(*args, **kwargs)
            self._faults.tick()
            return result

        return call


class Studio(FakeLabeler):
    """Label Studio as annotators use it."""

    def create(self, tasks: Sequence[Task]) -> dict[str, int]:
        existing = {(task.key, task.etag) for task in self.tasks.values()}
        again = [task.key for task in tasks if (task.key, task.etag) in existing]
        assert not again, f"{again} are imported a second time"
        return super().create(tasks)

    def touch(self, task: int, bodies: list[AnnotationBody]) -> None:
        self.annotations[task] = bodies
        self.changed_at[task] = self.clock.now()

    def number(self) -> int:
        return max((body.id for bodies in self.annotations.values() for body in bodies), default=0) + 1

    def drop(self, task: int) -> None:
        self.tasks.pop(task)
        self.annotations.pop(task, None)


class Drifting:
    """Confirmed drift whose examples are all images, with their first bytes."""

    def __init__(self, pool: FakePool) -> None:
        self._pool, self._first = pool, {}

    def read(self) -> Observation:
        for key, row in self._pool.table.items():
            self._first.setdefault(key, row.etag)
        examples = tuple(DriftExample(key, etag, 0.5) for key, etag in self._first.items())
        return Observation(1, drifted=examples)


class World(FakeWorld):
    def __init__(self) -> None:
        super().__init__(strategy="margin")
        self.faults = Faults()
        self.labeler = self.studio = Studio(clock=self.clock)
        self.observations, self.alias.named = Drifting(self.pool), 1
        self.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
        self.champions.set(ChampionPointer(1, "a" * 64, "m", "b" * 64, "h", "c" * 64, CLASSES))
        self.events: list[ImageRef] = []
        self.stored: dict[str, list[str]] = {}
        self.messages: list[str] = []
        self.reading: list[tuple[ImageRef, bool]] = []
        self.event_progress.stored = Published(at=self.clock.now())
        self.sequence = self.unique = 0
        self.trained_on: set[tuple[str, str]] = set()
        self.before: dict[str, set[tuple[str, str]]] = {}
        self.running: dict[str, float] = {}
        self._watch()
        self._wire()

    def _watch(self) -> None:
        """Record which labelled images the newest job started with, independently of the counter."""
        begin, abort, resolve = self.control.begin, self.control.abort, self.labels.resolve_label

        def watched_begin(before: Any, job: str, reason: str, lease: float, settings: Any) -> bool:
            # the rules, written independently of the code under test
            lost = before.status in (JobStatus.LAUNCHING, JobStatus.RUNNING, JobStatus.FAILED)
            assert before.new_labels >= THRESHOLD or (lost and before.lease_until < self.clock.now())
            if started := begin(before, job, reason, lease, settings):
                self.before[job] = self.trained_on
                self.trained_on = self.labelled()
            return started

        def watched_abort(job: str, before: Any, reason: str) -> bool:
            if aborted := abort(job, before, reason):
                self.trained_on = self.before[job] & self.labelled()
            return aborted

        def watched_resolve(before: Any, agreed: Any) -> int:
            delta = resolve(before, agreed)
            self.trained_on &= self.labelled()
            return delta

        self.control.begin, self.control.abort = watched_begin, watched_abort  # type: ignore[assignment]
        self.labels.resolve_label = watched_resolve

    def port(self, fake: Any) -> Between:
        return Between(fake, self.faults)

    def _wire(self) -> None:
        rules = BatchRules(size=3, audit_share=0.34, drift_share=0.34)
        self.rank = self.build_rank(rules, "margin", days=1, max_open_tasks=4, refresh=lambda: 0)
        self.collect = self.build_collect(
            CLASSES, TrainingRules(THRESHOLD, per_day=10**6), SingleChoice().read
        )
        published = self.build_events(self.collect)
        self.reconcile = replace(self.build_reconcile(self.build_stores(), self.collect), events=published)

    def labelled(self) -> set[tuple[str, str]]:
        """Return the labelled images with their bytes: a label of other bytes is a new one."""
        return {(key, row.etag) for key, row in self.pool.table.items() if row.state is State.LABELLED}

    # -- the outside world ----------------------------------------------------------------------

    def upload(self, key: str, *, good: bool, lost: bool) -> None:
        self._store(key, f"{'good' if good else 'bad'}{self.sequence + 1}", lost=lost)

    def restore(self, key: str, which: int, *, lost: bool) -> None:
        """Upload bytes again that the object had before."""
        if stored := self.stored.get(key):
            self._store(key, stored[which % len(stored)], lost=lost)

    def copy_in_place(self, key: str, *, lost: bool) -> None:
        """Write the same bytes under another ETag, as multipart uploads and encryption do."""
        if key in self.bucket.objects:
            self._store(key, self.stored[key][-1], suffix=f"-{self.sequence + 1}", lost=lost)

    def _store(self, key: str, content: str, *, suffix: str = "", lost: bool) -> None:
        self.sequence += 1
        etag = content + suffix
        self.stored.setdefault(key, []).append(content)
        self.bucket.objects[key] = StoredObject(key, etag, 1, self.clock.now())
        if not lost:
            self.events.append(ImageRef(key, etag, f"{self.sequence:08X}", 1))

    def content(self, key: str) -> str:
        """Return the ETag of the bytes in the bucket."""
        return self.bucket.objects[key].etag.partition("-")[0]

    def read(self, event: ImageRef) -> None:
        """Begin to score an upload, with the bytes that the bucket has now."""
        stored = self.bucket.objects.get(event.key)
        if stored is None:
            known = self.pool.scored([event.key]).get(event.key)
            self.pool.put_quarantine(same_bytes(event, known), "gone", "")
        else:
            content = self.content(event.key)
            object_etag = "" if stored.etag == content else stored.etag
            image = replace(event, etag=content, object_etag=object_etag)
            self.reading.append((image, content.startswith("good")))

    def write(self, image: ImageRef, good: bool) -> None:
        if good:
            doubt = self.sequence % 10 / 40
            probabilities = np.array([0.5 + doubt, 0.5 - doubt], np.float32)
            prediction = Prediction(1, "b" * 64, np.zeros(4, np.float32), probabilities)
            if self.pool.put_score(image, prediction):
                ResolveLabel(self.labels, CLASSIFICATION)(image.key)
        else:
            self.pool.put_quarantine(image, "truncated", "")
        self.trained_on &= self.labelled()

    def hook(self, action: str, task: int, bodies: list[AnnotationBody], *, lost: bool) -> None:
        if lost:
            return
        exported = self.studio.tasks[task]
        tasks = [TaskBody(task, {"key": exported.key, "etag": exported.etag})]
        if action == "ANNOTATIONS_DELETED":
            bodies, tasks = [AnnotationBody(id=body.id) for body in bodies], []
        self.messages.append(msgspec.json.encode(Message(action, 1, bodies, tasks, CREATED)).decode())

    def answer(self, task: int, annotator: int, label: str | None, *, lost: bool) -> None:
        """One annotator answers, or changes the answer."""
        bodies = list(self.studio.annotations.get(task, []))
        mine = next((body for body in bodies if body.completed_by == annotator), None)
        self.unique += 1
        stamp = f"2026-01-01T00:{self.unique // 60:02d}:{self.unique % 60:02d}.000000Z"
        result = [choice(label)] if label else []
        body = AnnotationBody(
            id=mine.id if mine else self.studio.number(),
            unique_id=mine.unique_id if mine else f"u{self.unique}",
            updated_at=stamp,
            task=task,
            completed_by=annotator,
            was_cancelled=label is None,
            result=result,
        )
        self.studio.touch(task, [*(other for other in bodies if other is not mine), body])
        self.hook("ANNOTATION_UPDATED" if mine else "ANNOTATION_CREATED", task, [body], lost=lost)

    def delete_answer(self, task: int, *, lost: bool) -> None:
        bodies = self.studio.annotations.get(task, [])
        if bodies:
            self.studio.touch(task, bodies[1:])
            self.hook("ANNOTATIONS_DELETED", task, bodies[:1], lost=lost)

    # -- the trainer ----------------------------------------------------------------------------

    def start_job(self, job: str) -> None:
        if self.control.start(job, self.clock.now() + 600):
            now = self.clock.now()
            alive = [other for other, lease in self.running.items() if lease >= now and other != job]
            assert not alive, f"{job} trains beside {alive}"
            self.running[job] = self.clock.now() + 600

    def end_job(self, job: str, how: str) -> None:
        self.running.pop(job, None)
        if how == "finishes":
            self.control.finish(job, "promoted")
        elif how == "fails":
            self.control.fail(job, "out of memory", self.clock.now() + 600)

    # -- running and checking -------------------------------------------------------------------

    def run(self, use_case: Callable[[], object], plan: dict[int, Callable[[], None]]) -> bool:
        """Run a use case with these faults; return whether it ended normally."""
        self.faults.plan, self.faults.at = dict(plan), 0
        try:
            use_case()
        except (Died, ServiceUnavailable):
            return False
        finally:
            self.faults.plan = {}
        return True

    def recover(self) -> None:
        """Deliver all waiting messages and run the reconciler, without faults."""
        self.launcher.down = False
        for image, good in self.reading:
            self.write(image, good)
        self.reading.clear()
        for message in self.messages:
            self.collect(message)
        self.messages.clear()
        self._score_events()
        self.clock.time += LATER
        self.reconcile(full=True)
        self.events += self.uploads.sent
        self.uploads.sent.clear()
        if self.events:  # what the reconciler queued is scored, and the next sync of all tasks sees it
            self._score_events()
            self.clock.time += FULL_EVERY
            self.reconcile()
        if self.proposals.newest.waits:  # with so few labels two are many: a person agrees
            self.reconcile(accept=self.proposals.newest.id)
        if self.rounds.is_open:
            self.rank()
        assert self.reconcile.events
        self.reconcile.events()

    def _score_events(self) -> None:
        for event in self.events:
            self.read(event)
            for image, good in self.reading:
                self.write(image, good)
            self.reading.clear()
        self.events.clear()

    def violations(self) -> list[str]:
        """Return every broken invariant, after `recover`."""
        return [*self._states(), *self._twice(), *self._counting(), *self._untold()]

    def _untold(self) -> list[str]:
        """Return the facts for which no event was published."""
        published, state = {event.id for event in self.bus.published}, self.control.state()
        exported = range(1, self.rounds.last_number() + 1 - self.rounds.is_open)
        ended = range(1, state.jobs + 1 - state.is_active)
        expected = [f"round-exported/{number}" for number in exported]
        expected += [f"training-finished/{numbered(number)}" for number in ended]
        return [f"{event} was never published" for event in expected if event not in published]

    def _agreed(self, key: str, etag: str) -> str | None:
        """Return the label that Label Studio's annotators agree on for these bytes."""
        tasks = [id_ for id_, task in self.studio.tasks.items() if (task.key, task.etag) == (key, etag)]
        bodies = [
            self.collect.annotation(body, TaskBody(id_, {"key": key, "etag": etag}))
            for id_ in tasks
            for body in self.studio.annotations.get(id_, [])
        ]
        return CLASSIFICATION.consensus(bodies, ClassHistory()).label

    def _states(self) -> list[str]:
        wrong = []
        for key, stored in self.bucket.objects.items():
            row = self.pool.table.get(key)
            if row is None or row.etag != self.content(key):
                wrong.append(f"{key} is in the bucket as {stored.etag}, in the pool as {row}")
        for key, row in self.pool.table.items():
            label = self._agreed(key, row.etag)
            tasks = [task for task in self.studio.tasks.values() if (task.key, task.etag) == (key, row.etag)]
            expected = {
                State.SCORED: not tasks,
                State.CLAIMED: False,
                State.EXPORTED: bool(tasks) and label is None,
                State.LABELLED: label is not None,
                State.QUARANTINED: True,
            }[row.state]
            if not expected or (row.state is not State.QUARANTINED and row.label != label):
                wrong.append(
                    f"{key} is {row.state} as {row.label}; Label Studio: {len(tasks)} tasks, {label}"
                )
        return wrong

    def _twice(self) -> list[str]:
        unanswered = [task for id_, task in self.studio.tasks.items() if not self.studio.annotations.get(id_)]
        every = Counter((task.key, task.etag) for task in self.studio.tasks.values())
        wrong = [
            f"{task.key} {task.etag} is {every[task.key, task.etag]} times in Label Studio"
            for task in unanswered
            if every[task.key, task.etag] > 1
        ]
        stale = [task.key for task in unanswered if task.etag != self.pool.table[task.key].etag]
        return wrong + [f"{key} waits for annotators with bytes that are gone" for key in stale]

    def _counting(self) -> list[str]:
        state, labelled = self.control.state(), self.labelled()
        wrong = []
        if state.new_labels != len(labelled - self.trained_on):
            wrong.append(f"counter {state.new_labels}, labelled {labelled} of which {self.trained_on} before")
        if (reason := due(state, RULES, self.clock.now())) is not None:
            wrong.append(f"a training job is due and was not launched: {reason}")
        return wrong
