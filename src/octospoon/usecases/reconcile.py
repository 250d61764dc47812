"""Repair lost events: compare Label Studio, the pool, the bucket and the registry.

Label Studio sends each webhook once. A task sync reads every task that changed since the previous task sync
began, and once a day every task. Its repairs take the same path as webhooks do, so that any number of runs,
concurrent ones too, count nothing twice.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.labelling.answers import PROBLEMS, UNKNOWN_CLASS
from octospoon.domain.labelling.reconciliation import TaskSync
from octospoon.domain.pool.images import State
from octospoon.usecases.compare_annotations import CompareAnnotations
from octospoon.usecases.full_audit import RunFullAudit
from octospoon.usecases.reconcile_report import ReconcileReport
from octospoon.usecases.removals import Removals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.labelling.reconciliation import PoolEntry
    from octospoon.ports.clock import Clock
    from octospoon.ports.images import Backlog, Bucket, Uploads
    from octospoon.ports.labelling import AnnotatedTask, Labeler, Rounds, TaskBody
    from octospoon.ports.pool import FullAudits, PoolEntries
    from octospoon.ports.reconciliation import MissingAnnotations, Proposals, TaskSyncs
    from octospoon.usecases.collect import CollectAnnotations
    from octospoon.usecases.publish_events import PublishEvents
    from octospoon.usecases.sync_registry_alias import Followed

LOG = logging.getLogger(__name__)
PAGE = 100
BUDGET = 180.0
"""Seconds after which a run begins no further page; the next run continues from there."""
OVERLAP = 600.0
"""Seconds by which a task sync overlaps the previous one, because clocks differ."""
FULL_EVERY = 24 * 3600.0
_RECENT_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that are compared with Label Studio and with each other."""

    task_syncs: TaskSyncs
    full_audits: FullAudits
    pool: PoolEntries
    rounds: Rounds
    bucket: Bucket
    uploads: Uploads
    missing: MissingAnnotations
    proposals: Proposals
    backlog: Backlog | None = None


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The use case: a task sync, a full audit and the alias; then training is launched if it is due.

    Attributes:
        labeler: Label Studio.
        stores: the stores that are compared with it.
        collect: counts labels.
        clock: the time.
        sync_registry_alias: syncs the registry's alias with the champion; None without a registry.
        events: publishes what happened; None without a bus.
    """

    labeler: Labeler
    stores: Stores
    collect: CollectAnnotations
    clock: Clock
    sync_registry_alias: Callable[[], Followed] | None = None
    events: PublishEvents | None = None

    def __call__(self, *, full: bool = False, accept: str = "") -> ReconcileReport:
        """Run once. If a run is interrupted, the next run resumes at the same page.

        Args:
            full: begin a task sync over every task and a full audit now; training that is due does not pause.
            accept: id of the proposed removal that a person accepts; it implies `full`.

        Raises:
            RetryableError: Label Studio, AWS or the registry did not answer; all other steps were done.
        """
        until = self.clock.now() + BUDGET
        refused = self._removals.accept(accept) if accept else ""
        full = full or (bool(accept) and not refused)
        done, errors = _run_all(
            lambda: self._removals.apply(until),
            lambda: self._sync_tasks(until, full=full),
            self._claims,
            lambda: self._audit(until, full=full),
            lambda: self._waiting(until),
            self._alias,
            self._uncounted,
            self._events,
            self._lost_job,
        )
        # even after errors: a job that is due or lost must not wait
        job = self.collect.launch_if_due(at_once=full)
        if errors:
            raise errors[0]
        finished, audited = done.pop("finished", 0) > 0, done.pop("audited", 0) > 0
        proposal = self.stores.proposals.read()
        return ReconcileReport(
            **done,
            withheld=proposal.labels if proposal.waits else 0,
            refused=refused,
            finished=finished,
            audited=audited,
            job=job or "",
            lost_jobs=self.collect.control.state().lost_in_a_row(),
        )

    @property
    def _compare(self) -> CompareAnnotations:
        return CompareAnnotations(self.labeler, self.collect)

    @property
    def _removals(self) -> Removals:
        stores = self.stores
        return Removals(self.labeler, stores.missing, stores.proposals, stores.pool, self.collect, self.clock)

    def _sync_tasks(self, until: float, *, full: bool) -> Counter[str]:
        repaired: Counter[str] = Counter()
        task_syncs = self.stores.task_syncs
        last = task_syncs.read()
        sync = self._next(last, full=full)
        ours = sync == last or task_syncs.save(last, sync)
        while ours and not sync.finished and self.clock.now() < until:
            tasks = self.labeler.changed(sync.since, sync.position, PAGE)
            repaired += self._page(sync, tasks) + Counter(tasks=len(tasks))
            done = replace(sync, position=tasks[-1].id) if tasks else replace(sync, finished=True)
            ours = task_syncs.save(sync, done)
            sync = done
        if not ours:
            LOG.info("another run continues the task sync")
        elif sync.finished and self.events:
            self.events.settled_until(sync.began)
        return repaired + Counter(finished=ours and sync.finished)

    def _next(self, last: TaskSync, *, full: bool) -> TaskSync:
        # a change of the classes changes no task, but may change which annotations count: read all tasks
        history = self.collect.history()
        classes = ",".join(history.names) + (f" revision {history.revision}" if history.revision else "")
        full = full or classes != last.classes
        if not last.finished and not full:
            return last
        now = self.clock.now()
        if full or now - last.full_began >= FULL_EVERY:
            return TaskSync(began=now, finished=False, full_began=now, classes=classes)
        return TaskSync(
            now, last.began - OVERLAP, finished=False, full_began=last.full_began, classes=classes
        )

    def _page(self, sync: TaskSync, changed: Sequence[TaskBody]) -> Counter[str]:
        walk, project = f"task-sync-{sync.began:.6f}", self.labeler.project()
        repaired: Counter[str] = Counter()
        if keys := list(dict.fromkeys(task.key for task in changed if task.key)):
            # an image may have other tasks that did not change
            tasks = self.labeler.tasks_of(keys)
            compared = self._compare(keys, tasks)
            repaired = self._placed(tasks, self.stores.pool.entries(keys)) + compared.repaired
            if self.events:
                repaired["events"] += self.events.settled(tasks)
            if sync.since:  # in a sync over all tasks, missing annotations are the full audit's work
                self._removals.keep(walk, str(sync.position), compared.missing)
        if not changed and sync.since:
            repaired += self._removals.decide(walk, project, everything=False)
        return repaired

    def _placed(self, tasks: Sequence[AnnotatedTask], entries: dict[str, PoolEntry]) -> Counter[str]:
        """Tell the pool which images have a task, and delete superfluous tasks."""
        repaired: Counter[str] = Counter()
        groups = defaultdict(list)
        for task in tasks:
            groups[task.key, task.etag].append(task)
        for (key, etag), same in groups.items():
            entry = entries.get(key)
            if entry is None:
                continue
            # the first answered task stays, else the first; for replaced bytes, only answered tasks stay
            same.sort(key=lambda task: (not task.annotations, task.id))
            wanted = etag == entry.etag and entry.state is not State.QUARANTINED
            extra = same[1:] if wanted else same
            unanswered = [task for task in extra if not task.annotations]
            repaired["duplicates"] += sum(self.labeler.delete(task.id) for task in unanswered)
            if wanted and self._unplaced(entry):
                repaired["adopted"] += self.stores.pool.adopt(entry, same[0].id)
        return repaired

    def _unplaced(self, entry: PoolEntry) -> bool:
        expired = entry.state is State.CLAIMED and entry.claim_until < self.clock.now()
        return entry.state is State.SCORED or expired

    def _waiting(self, until: float) -> Counter[str]:
        """Check the tasks that wait for annotators: a change of an image does not change its task."""
        repaired: Counter[str] = Counter()
        after = 0
        while self.clock.now() < until and (page := self.labeler.waiting(after, PAGE)):
            after = page[-1].id
            if keys := list(dict.fromkeys(task.key for task in page if task.key)):
                repaired += self._placed(self.labeler.tasks_of(keys), self.stores.pool.entries(keys))
        return repaired

    def _claims(self) -> Counter[str]:
        rounds, last = self.stores.rounds, self.stores.rounds.last_number()
        numbers = range(max(1, last + 1 - _RECENT_ROUNDS), last + 1)
        return self._full_audit().claims(round_ for number in numbers if (round_ := rounds.read(number)))

    def _audit(self, until: float, *, full: bool) -> Counter[str]:
        repaired, finished = self._full_audit()(until, full=full)
        return repaired + Counter(audited=finished)

    def _full_audit(self) -> RunFullAudit:
        stores = self.stores
        return RunFullAudit(
            bucket=stores.bucket,
            uploads=stores.uploads,
            pool=stores.pool,
            labels=self.collect.labels,
            labeler=self.labeler,
            progress=stores.full_audits,
            clock=self.clock,
            compare=self._compare,
            removals=self._removals,
            backlog=stores.backlog,
        )

    def _uncounted(self) -> Counter[str]:
        uncounted = self.collect.labels.uncounted(examples=1)
        for example in uncounted.examples:
            why = PROBLEMS[example.problem]
            LOG.warning("annotation %d of %s does not count: %s", example.annotation, example.key, why)
        return Counter(uncounted=uncounted.total, unknown_classes=uncounted.counts.get(UNKNOWN_CLASS, 0))

    def _events(self) -> Counter[str]:
        return Counter(events=self.events() if self.events else 0)

    def _lost_job(self) -> Counter[str]:
        if self.collect.lost_job:
            self.collect.lost_job()
        return Counter()

    def _alias(self) -> Counter[str]:
        if self.sync_registry_alias is None:
            return Counter()
        followed = self.sync_registry_alias()
        return Counter(models=int(followed.version >= 0), at_odds=int(followed.at_odds))


def _run_all(*steps: Callable[[], Counter[str]]) -> tuple[Counter[str], list[Exception]]:
    """Run every step, whether others fail or not; return the sum of their counts, and the errors."""
    done: Counter[str] = Counter()
    errors: list[Exception] = []
    for step in steps:
        try:
            done.update(step())
        except Exception as error:  # a failed step must not keep the others from running
            LOG.exception("a step of the reconciliation failed")
            errors.append(error)
    return done, errors
