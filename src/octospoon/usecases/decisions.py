"""Read the gate's newest decisions about models, one for each training job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.training.policy import numbered

if TYPE_CHECKING:
    from octospoon.domain.monitoring.observations import ModelDecision
    from octospoon.ports.models import ModelHistory


@dataclass(frozen=True, slots=True)
class JobDecision:
    """A training job and the gate's decision about its model.

    Attributes:
        job_id: id of the job.
        decision: None if the job has none: it runs, it failed, or it was lost.
    """

    job_id: str
    decision: ModelDecision | None


def newest_jobs(history: ModelHistory, jobs: int, most: int) -> list[JobDecision]:
    """Return the newest jobs, newest first.

    Args:
        history: the decisions.
        jobs: number of jobs started so far.
        most: largest number of jobs to return; each costs one read.
    """
    ids = [numbered(number) for number in range(jobs, max(0, jobs - most), -1)]
    return [JobDecision(job_id, history.decision(job_id)) for job_id in ids]
