"""Count what lost webhooks left uncounted: compare Label Studio's tasks with what is stored.

Label Studio sends a webhook once. A sweep looks at every task that changed since the sweep before it began,
and once a day at every task. What the sweep repairs goes the same way as what a webhook brings, so that any
number of runs, at any time and at once, count nothing twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.entities import Sweep
from octospoon.domain.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.domain.entities import Annotation
    from octospoon.ports import AnnotatedTask, Clock, Labeler, Sweeps
    from octospoon.usecases.collect import CollectAnnotations

LOG = logging.getLogger(__name__)
PAGE = 100
BUDGET = 180.0
"""Seconds after which a run takes no further page; the next run goes on from there."""
OVERLAP = 600.0
"""Seconds by which a sweep reaches back before the one before it, for clocks that differ."""
FULL_EVERY = 24 * 3600.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What one run did.

    Attributes:
        tasks: tasks looked at.
        annotations: annotations that were missing, out of date, or deleted in Label Studio alone.
        labels: images that became labelled, or ceased to be.
        finished: no changed task is left for the next run.
        job: the training job that was launched; empty for none.
    """

    tasks: int = 0
    annotations: int = 0
    labels: int = 0
    finished: bool = False
    job: str = ""


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The use case: begin a sweep or go on with it, then launch training if it is due."""

    labeler: Labeler
    sweeps: Sweeps
    collect: CollectAnnotations
    clock: Clock

    def __call__(self, *, full: bool = False) -> ReconcileReport:
        """Run once; a run that dies is resumed by the next, from the page it was at.

        Args:
            full: begin a sweep over every task now.

        Raises:
            RetryableError: Label Studio or AWS did not answer.
        """
        try:
            report = self._sweep(full=full)
        finally:  # a job that is due, or lost, waits for nobody
            job = self.collect.launch_if_due()
        return replace(report, job=job or "")

    def _sweep(self, *, full: bool) -> ReconcileReport:
        until = self.clock.now() + BUDGET
        report = ReconcileReport()
        last = self.sweeps.read()
        sweep = self._next(last, full=full)
        ours = sweep == last or self.sweeps.save(last, sweep)
        while ours and not sweep.finished and self.clock.now() < until:
            tasks = self.labeler.changed(sweep.since, sweep.position, PAGE)
            for task in tasks:
                report = self._repair(task, report)
            done = replace(sweep, position=tasks[-1].id) if tasks else replace(sweep, finished=True)
            ours = self.sweeps.save(sweep, done)
            sweep = done
        if not ours:
            LOG.info("another run goes on with the sweep")
        return replace(report, finished=ours and sweep.finished)

    def _next(self, last: Sweep, *, full: bool) -> Sweep:
        if not last.finished and not full:
            return last
        now = self.clock.now()
        if full or now - last.full_began >= FULL_EVERY:
            return Sweep(began=now, finished=False, full_began=now)
        return Sweep(began=now, since=last.began - OVERLAP, finished=False, full_began=last.full_began)

    def _repair(self, task: AnnotatedTask, report: ReconcileReport) -> ReconcileReport:
        report = replace(report, tasks=report.tasks + 1)
        key = task.data.get("key")
        if not isinstance(key, str):
            return report  # not a task of ours
        stored = {one.annotation_id: one for one in self.collect.labels.of(key)}
        if not stored and not task.annotations:
            return report
        repaired = sum(self.collect.labels.upsert(one) for one in self._differing(task, stored))
        delta = self._settle(key)
        return replace(report, annotations=report.annotations + repaired, labels=report.labels + abs(delta))

    def _differing(self, task: AnnotatedTask, stored: dict[str, Annotation]) -> Iterator[Annotation]:
        there = {body.unique_id: self.collect.annotation(body, task) for body in task.annotations}
        yield from (one for one in there.values() if one != stored.get(one.annotation_id))
        for one in stored.values():
            # the page may be older than the table, and an image may have two tasks: deletion is the last word
            # on an annotation, so ask for this very one
            if one.annotation_id not in there and not one.deleted and not self.labeler.has(one):
                yield replace(one, deleted=True)

    def _settle(self, key: str) -> int:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self.collect.settle(key)
            except Conflict:
                LOG.info("%s changed while it was settled: trying again", key)
        return self.collect.settle(key)
