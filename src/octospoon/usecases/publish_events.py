"""Publish what happened since the last publication, each event at least once.

The events are read from the stored state, so none is lost if a function dies between a change and its event.
The progress is stored after the publication: if that fails, the next run publishes again, with the same ids.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from octospoon.domain.errors import BadModel
from octospoon.domain.monitoring.drift import Level
from octospoon.domain.training.jobs import JobStatus
from octospoon.domain.training.policy import numbered
from octospoon.usecases import event_details

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.monitoring.events import Event, Published
    from octospoon.ports.clock import Clock
    from octospoon.ports.events import EventBus, EventProgress
    from octospoon.ports.labelling import AnnotatedTask, Labels, Rounds
    from octospoon.ports.models import Champions, ModelHistory, Observations
    from octospoon.ports.training import Control

    _Step = tuple[Event | None, dict[str, Any]]
    """An event, and the progress that it makes."""

LOG = logging.getLogger(__name__)
OVERLAP = 600.0
"""Seconds by which answers are published again, because clocks differ."""
_LOST = "the job did not come to its end"


@dataclass(frozen=True, slots=True)
class PublishEvents:
    """The use case.

    Attributes:
        bus: where the events go.
        progress: how far they are published.
        rounds: the batches.
        control: the training job's state.
        decisions: the gate's decisions.
        champions: the champion pointer.
        observations: the drift results.
        labels: the labels of images.
        history: returns the project's classes and their changes.
        shown: returns a stored label as people read it.
        clock: the time.
    """

    bus: EventBus
    progress: EventProgress
    rounds: Rounds
    control: Control
    decisions: ModelHistory
    champions: Champions
    observations: Observations
    labels: Labels
    history: Callable[[], ClassHistory]
    shown: Callable[[str, ClassHistory], str]
    clock: Clock

    def __call__(self) -> int:
        """Publish the events of batches, jobs, models and drift; return their number.

        The first run, and the first after a week without one, publishes nothing: it notes where to begin.

        Raises:
            RetryableError: nothing is lost; the next run publishes the events again.
            Refused: likewise, once a person has put the bus right.
        """
        before, now = self.progress.read(), self.clock.now()
        reached = replace(before, at=now)
        happened = [*self._rounds(before), *self._jobs(before), *self._model(before), *self._drift(before)]
        for event, step in happened:
            reached = replace(reached, **step)
            LOG.debug("event %s", event.id if event else "none")
        if before.begins(now):
            self.progress.save(replace(reached, labels_until=now + OVERLAP))
            return 0
        events = [event for event, _ in happened if event is not None]
        self.bus.publish(events)
        self.progress.save(reached)
        return len(events)

    def settled(self, tasks: Iterable[AnnotatedTask]) -> int:
        """Publish the labels of images whose answers changed since the last publication; return their number.

        Args:
            tasks: of Label Studio, with their annotations.

        Raises:
            RetryableError: see `__call__`.
        """
        before = self.progress.read()
        if before.begins(self.clock.now()):
            return 0
        since = before.labels_until - OVERLAP
        keys = dict.fromkeys(task.key for task in tasks if task.key and _changed(task) > since)
        events = [event for key in keys if (event := self._label(key)) and event.subject not in before.recent]
        if events:
            self.bus.publish(events)
            self.progress.save(before.with_labels(events))
        return len(events)

    def _label(self, key: str) -> Event | None:
        state = self.labels.label_state(key)
        if state is None or not state.revision:
            return None
        shown = None if state.label is None else self.shown(state.label, self.history())
        return event_details.label_settled(state, shown)

    def settled_until(self, began: float) -> None:
        """Note that every answer that changed before a task sync began is published."""
        before = self.progress.read()
        if began > before.labels_until and not before.begins(self.clock.now()):
            self.progress.save(replace(before, labels_until=began))

    def _rounds(self, before: Published) -> Iterator[_Step]:
        open_ = self.rounds.open()
        last = self.rounds.last_number() - (open_ is not None)
        for number in self._new(before, before.round, last):
            round_ = self.rounds.read(number)
            yield None if round_ is None else event_details.round_exported(round_), {"round": number}

    def _jobs(self, before: Published) -> Iterator[_Step]:
        state = self.control.state()
        last = state.jobs - state.is_active
        for number in self._new(before, before.job, last):
            job = numbered(number)
            newest, decision = number == state.jobs, self.decisions.decision(job)
            reason = state.reason if newest else "; ".join(decision.reasons) if decision else _LOST
            failed = newest and state.status is JobStatus.FAILED
            yield event_details.training_finished(job, None if failed else decision, reason), {"job": number}
            if decision is not None and not decision.promoted:
                yield event_details.model_refused(decision), {"job": number}

    def _model(self, before: Published) -> Iterator[_Step]:
        pointer = self._pointer()
        if pointer is not None and pointer.generation > before.generation:
            yield event_details.model_promoted(pointer), {"generation": pointer.generation}

    def _pointer(self) -> ChampionPointer | None:
        try:
            current = self.champions.pointer()
        except BadModel:  # `doctor` and the functions report it
            return None
        return current[0] if current else None

    def _drift(self, before: Published) -> Iterator[_Step]:
        seen = self.observations.read()
        if seen.finding is None or seen.finding.level is not Level.CONFIRMED:
            return
        event = event_details.drift_confirmed(seen.version, seen.judged_until, seen.finding)
        if event.subject != before.drift:
            yield event, {"drift": event.subject}

    def _new(self, before: Published, done: int, last: int) -> Sequence[int]:
        """Return the numbers that are new; only the last one where publishing begins."""
        return (
            range(max(done + 1, last), last + 1)
            if before.begins(self.clock.now())
            else range(done + 1, last + 1)
        )


def _changed(task: AnnotatedTask) -> float:
    """Return when the newest answer to a task changed, in epoch seconds; 0 without an answer."""
    times = [body.updated_at for body in task.annotations if body.updated_at]
    return max((datetime.fromisoformat(time).timestamp() for time in times), default=0.0)
