"""The training job, and what it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class JobStatus(StrEnum):
    """Where the one training job of a project stands."""

    IDLE = "idle"
    LAUNCHING = "launching"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobSettings:
    """What a job trains by: whoever launches it writes this down with it, and the trainer has no other.

    Attributes:
        classes: the project's class names, in order; at least two.
        trainer: ``head`` or ``finetune``.
        fine_tuning: options of the latter.
        class_weights: ``none`` or ``balanced``.
        model_name: of the registered model.
        experiment: of the experiment tracker.
    """

    classes: tuple[str, ...]
    trainer: str = "head"
    fine_tuning: str = ""
    class_weights: str = "none"
    model_name: str = "octospoon"
    experiment: str = "octospoon"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """The control item that decides when to train.

    Attributes:
        status: of the newest job.
        job_id: of the newest job, empty before the first.
        jobs: number of jobs begun so far.
        new_labels: distinct images labelled since the last job was begun.
        lease_until: epoch seconds after which a launching or running job counts as lost.
        reason: why the newest job was begun, or why it failed.
        since: labels counted at this number of jobs, or later, are those in `new_labels`.
        begun_at: epoch seconds at which the newest job was begun.
        begun_day: UTC day of that, such as 2026-01-31.
        begun_today: jobs begun on that day.
        requested: why watching asked for a job since the newest was begun; empty where it did not.
        settings: of the newest job; None before the first.
        project_classes: the class names that the project has now, in order; none while nobody has said so.
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
    requested: str = ""
    settings: JobSettings | None = None
    project_classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What a trainer hands over.

    Attributes:
        model: the complete file.
        head: its head alone.
        held_out: float [N, C], what models that had not seen them say of the N training rows; NaN where none.
        metrics: what was measured.
        params: what was chosen.
        epochs: what was measured after each epoch, where there are epochs.
    """

    model: bytes
    head: bytes
    held_out: npt.NDArray[np.floating]
    metrics: dict[str, float]
    params: dict[str, str] = field(default_factory=dict)
    epochs: tuple[dict[str, float], ...] = ()
