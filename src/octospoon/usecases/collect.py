"""Count annotations, resolve each image's label, and launch training when it is due."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from octospoon.domain.errors import BadRequest, OctospoonError, RetryableError
from octospoon.domain.labelling.answers import Answer
from octospoon.domain.labelling.tasks import UNKNOWN_ANNOTATOR, Annotation, project_name
from octospoon.domain.training.backbone_change import next_candidate
from octospoon.domain.training.jobs import JobStatus
from octospoon.domain.training.policy import due, job_id
from octospoon.ports.labelling import Message
from octospoon.usecases.resolve_label import ResolveLabel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.domain.training.jobs import JobSettings, TrainingState
    from octospoon.domain.training.policy import TrainingRules
    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import AnnotationBody, AnswerReader, Labels, TaskBody
    from octospoon.ports.training import Control, TrainingLauncher
    from octospoon.usecases.give_up_lost_job import GiveUpLostJob

LOG = logging.getLogger(__name__)
LAUNCH_LEASE = 900.0
"""Seconds after which a launched job that has not started counts as lost, if its launcher has no other."""


@dataclass(frozen=True, slots=True)
class CollectAnnotations:
    """The use case: count one queued webhook message, and launch a training job if one is due.

    Attributes:
        labels: the annotations and labels.
        control: the training job's state.
        launcher: starts training jobs.
        clock: the time.
        settings: of the next job; its classes are the project's when it is launched.
        history: returns the project's classes and their changes.
        task_type: the kind of label.
        read: reads the result of an annotation.
        rules: when the next job is due.
        finished: requests a new batch if the newest round waits for no answer; None if only the schedule
            does.
        lost_job: gives up a lost job with its reason; None if the platform of the jobs cannot be asked.
        launch_lease: seconds after which a launched job that has not started counts as lost.
        left_out: told how many parts of an answer are no part of its label, where there are any.
        has_model: returns whether a model with classes was ever in service; asked only if it matters.
    """

    labels: Labels
    control: Control
    launcher: TrainingLauncher
    clock: Clock
    settings: JobSettings
    history: Callable[[], ClassHistory]
    task_type: TaskType
    read: AnswerReader
    rules: TrainingRules
    finished: Callable[[Collection[str]], bool] | None = None
    lost_job: GiveUpLostJob | None = None
    launch_lease: float = LAUNCH_LEASE
    left_out: Callable[[int], object] = lambda _: None
    has_model: Callable[[], bool] = lambda: True

    def __call__(self, body: str) -> str | None:
        """Count one message; return the id of the training job that it launched, if any.

        Every step is idempotent: a message whose processing was interrupted is processed again.

        Raises:
            BadRequest: it is not a message of `webhook`.
            RetryableError: nothing is lost; the message can be processed again.
        """
        annotations = list(self._annotations(_decode(body)))
        for annotation in annotations:
            self.labels.upsert(annotation)
        keys = sorted({annotation.key for annotation in annotations})
        for key in keys:
            self.resolve_label(key)
        job = self.launch_if_due()
        self.answered(keys)
        return job

    def answered(self, keys: Collection[str]) -> None:
        """Request a new batch if these images had the last missing answers of the newest round."""
        if self.finished and keys:
            self.finished(keys)

    def resolve_label(self, key: str) -> int:
        """Store the label that an image's annotators agree on; return the change of the number of labels.

        Raises:
            Conflict: the image kept changing; the call can be repeated.
        """
        return ResolveLabel(self.labels, self.task_type, self.history, notes_problems=True)(key)

    def launch_if_due(self, *, at_once: bool = False) -> str | None:
        """Launch a training job if the rules say so; return its id.

        If it can never start, the labels are back in the counter, and the state and the log have the reason.
        It is tried again after a pause, which grows with each try.

        Args:
            at_once: whether a person asks for what is due without a pause.

        Raises:
            RetryableError: it could not be started now; its labels are back in the counter.
        """
        state, classes = self._state(), self.history().names
        if state.project_classes != classes:
            self.control.keep_classes(classes)
            state = replace(state, project_classes=classes)
        reason = due(state, self._rules(state), self.clock.now(), at_once=at_once)
        if reason is None:
            return None
        job = job_id(state)
        candidate = next_candidate(state.backbone_change)
        settings = replace(self.settings, classes=classes, candidate=candidate)
        if not self.control.begin(state, job, reason, self.clock.now() + self.launch_lease, settings):
            return None  # another run was first
        if self.lost_job and state.status is not JobStatus.IDLE:
            self.lost_job.stop_rest(state.job_id)
        return job if self._launched(job, state) else None

    def _rules(self, state: TrainingState) -> TrainingRules:
        first = self.rules.without_model(len(state.project_classes))
        matters = first.new_labels <= state.new_labels < self.rules.new_labels
        return first if matters and not self.has_model() else self.rules

    def _state(self) -> TrainingState:
        """Return the state; a job whose lease has run out is given up first, with its reason."""
        state = self.control.state()
        late = state.is_active and self.clock.now() > state.lease_until
        return self.control.state() if late and self.lost_job and self.lost_job() else state

    def _launched(self, job: str, before: TrainingState) -> bool:
        """Launch a job that has begun; return False if it can never start."""
        try:
            self.launcher.launch(job)
        except OctospoonError as error:
            self.control.abort(job, before, f"it could not be started: {error}")
            if before.requested:
                self.control.request(before.requested)
            if isinstance(error, RetryableError):
                raise
            LOG.exception("job %s could not be started; it is tried again after a pause", job)
            return False
        return True

    def annotation(self, body: AnnotationBody, task: TaskBody, project: str = "") -> Annotation:
        """Convert an annotation of Label Studio's."""
        answer = Answer(None) if body.was_cancelled else self.read(body.result, self.history())
        return Annotation(
            key=task.key,
            etag=task.etag,
            annotation_id=body.unique_id,
            number=body.id,
            updated_at=body.updated_at,
            annotator=UNKNOWN_ANNOTATOR if body.completed_by is None else str(body.completed_by),
            label=answer.label,
            project=project,
            problem=answer.problem,
            note=answer.note,
        )

    def _annotations(self, message: Message) -> Iterator[Annotation]:
        project = project_name(message.project, message.project_created_at)
        if message.action == "ANNOTATIONS_DELETED":
            yield from self._deleted(message.annotations, project)
            return
        tasks = {task.id: task for task in message.tasks}
        for body in message.annotations:
            task = tasks.get(body.task)
            if task is None or not task.key:
                LOG.warning("annotation %d belongs to a task that is not octospoon's: ignored", body.id)
                continue
            self._report_left_out(body, task)
            yield self.annotation(body, task, project)

    def _report_left_out(self, body: AnnotationBody, task: TaskBody) -> None:
        if body.was_cancelled:
            return
        if parts := body.left_out + self.read(body.result, self.history()).left_out:
            LOG.warning("%s: %d parts of annotation %d are left out of its label", task.key, parts, body.id)
            self.left_out(parts)

    def _deleted(self, bodies: Sequence[AnnotationBody], project: str) -> Iterator[Annotation]:
        for body in bodies:
            # annotations of another project or another Label Studio may have the same numbers
            known = self.labels.find(body.id, project)
            if known is None:
                LOG.warning("annotation %d of project %s was deleted before it was stored", body.id, project)
            else:
                yield replace(known, deleted=True)


def _decode(body: str) -> Message:
    try:
        return msgspec.json.decode(body, type=Message)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"not a message of the webhook function: {error}") from error
