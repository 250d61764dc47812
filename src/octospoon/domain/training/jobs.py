"""Data of a training job: its state, its settings and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from octospoon.domain.task_types.names import TaskTypeName
from octospoon.domain.training.backbone_change import BackboneChange, Candidate  # noqa: TC001 - msgspec resolves

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.evaluation.training_record import TrainingRecord

STOPPED = "the job was stopped from outside"
"""Why a job failed that got a signal to end, as a Spot task does when AWS takes back its machine."""


class JobStatus(StrEnum):
    """The state of a project's training job; there is one job at a time."""

    IDLE = "idle"
    LAUNCHING = "launching"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Fate:
    """The state of a training job on the platform that runs it.

    Attributes:
        over: whether nothing of the job waits or runs there.
        text: its state and the platform's reasons, for people.
    """

    over: bool
    text: str


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The settings of a job. They are stored when the job is launched, and the trainer reads no others.

    Attributes:
        classes: the project's class names, in order; at least two.
        trainer: ``head``, ``finetune`` or ``command``.
        fine_tuning: options of the trainer ``finetune``.
        class_weights: ``none`` or ``balanced``.
        model_name: name of the registered model.
        experiment: name of the experiment in the tracker.
        candidate: a backbone that is to replace the one in service; None for an ordinary job.
        task_type: the kind of label.
    """

    classes: tuple[str, ...]
    trainer: str = "head"
    fine_tuning: str = ""
    class_weights: str = "none"
    model_name: str = "octospoon"
    experiment: str = "octospoon"
    candidate: Candidate | None = None
    task_type: str = TaskTypeName.CLASSIFICATION


@dataclass(frozen=True, slots=True)
class TrainingState:
    """The stored state that decides when to train.

    Attributes:
        status: status of the newest job.
        job_id: id of the newest job, empty before the first.
        jobs: number of jobs started so far.
        new_labels: number of distinct images labelled since the newest job was started.
        lease_until: epoch seconds after which a launching or running job counts as lost.
        reason: why the newest job was started, or why it failed.
        since: `new_labels` counts the labels that were counted at this number of jobs or later.
        begun_at: epoch seconds at which the newest job was started.
        begun_day: UTC day of that time, such as 2026-01-31.
        begun_today: number of jobs started on that day.
        lost: number of jobs in a row, up to the one before the newest, that did not come to their end.
        requested: why `watch` requested a job since the newest was started; empty if it did not.
        settings: settings of the newest job; None before the first.
        project_classes: the project's current class names, in order; empty while they are unknown.
        backbone_change: the newest change of the backbone that a person requested; None before the first.
    """

    status: JobStatus = JobStatus.IDLE
    job_id: str = ""
    jobs: int = 0
    new_labels: int = 0
    lease_until: float = 0.0
    reason: str = ""
    since: int = 0
    begun_at: float = 0.0
    begun_day: str = ""
    begun_today: int = 0
    lost: int = 0
    requested: str = ""
    settings: JobSettings | None = None
    project_classes: tuple[str, ...] = ()
    backbone_change: BackboneChange | None = None

    def lost_before_next(self) -> int:
        """Return `lost` of the next job. A job that was stopped from outside is not counted."""
        if self.status is JobStatus.IDLE:
            return 0
        stopped = self.status is JobStatus.FAILED and self.reason == STOPPED
        return self.lost + (not stopped)

    def lost_in_a_row(self) -> int:
        """Return how many jobs in a row, up to now, did not come to their end."""
        return self.lost_before_next() if self.status is JobStatus.FAILED else self.lost * self.is_active

    @property
    def is_active(self) -> bool:
        """Whether the newest job is launching or running."""
        return self.status in (JobStatus.LAUNCHING, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The result of a trainer.

    Attributes:
        model: the complete ONNX file.
        head: the ONNX file of its head alone; empty for a model that predicts boxes.
        held_out: float [N, C], probabilities of the dataset's N rows from heads that were not trained on
            them, or [N, K, 4 + C] with boxes; NaN for rows without them.
        record: the images that the model was trained on, and heads that have not seen the audit images among
            them.
        metrics: metrics of the training, by name.
        params: parameters that the trainer chose, by name.
        epochs: metrics after each epoch, for trainers with epochs.
    """

    model: bytes
    head: bytes
    held_out: npt.NDArray[np.floating]
    record: TrainingRecord
    metrics: dict[str, float]
    params: dict[str, str] = field(default_factory=dict)
    epochs: tuple[dict[str, float], ...] = ()
