"""When to train: by new labels, by accuracy, by drift, or because a job was lost or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.monitoring.drift import Level
from octospoon.domain.pool.keys import day
from octospoon.domain.training.jobs import JobStatus, TrainingState

if TYPE_CHECKING:
    from octospoon.domain.evaluation.estimators import Estimate
    from octospoon.domain.monitoring.drift import DriftResult


@dataclass(frozen=True, slots=True)
class TrainingRules:
    """What a user sets about training.

    Attributes:
        new_labels: so many make a job due, at least 1.
        cool_down: seconds after a job was begun in which neither accuracy nor drift begins another.
        per_day: jobs that may be begun on one UTC day, at least 1; a lost one is begun again all the same.
    """

    new_labels: int
    cool_down: float = 6 * 3600.0
    per_day: int = 24


def due(state: TrainingState, rules: TrainingRules, now: float) -> str | None:
    """Return why a training job should begin now, or None.

    A launching or running job whose lease has run out is lost, and its labels were already taken off the
    counter: it is due again at once. A failed one is due again when its lease has run out, or when enough
    new labels have come. What `wanted` asked for waits for its cool-down, and for a label that no job has
    seen: the same labels would give the same model.

    Args:
        state: the control item.
        rules: the limits.
        now: epoch seconds.
    """
    if state.status in (JobStatus.LAUNCHING, JobStatus.RUNNING):
        lost = now > state.lease_until
        return f"job {state.job_id} was lost: its lease ran out while {state.status}" if lost else None
    if state.begun_day == day(now) and state.begun_today >= rules.per_day:
        return None
    if state.new_labels >= rules.new_labels:
        return f"{state.new_labels} new labels, threshold {rules.new_labels}"
    if state.requested and state.new_labels > 0 and now >= state.begun_at + rules.cool_down:
        return state.requested
    if state.status is JobStatus.FAILED and now > state.lease_until:
        return f"job {state.job_id} failed: {state.reason}"
    return None


def wanted(accuracy: Estimate, finding: DriftResult | None, floor: float) -> str | None:
    """Return why what was seen of the model in service asks for training, or None.

    Args:
        accuracy: its estimate.
        finding: of drift, None where no window was judged.
        floor: accuracy below which it must not be; 0 for none.
    """
    if accuracy.labels and accuracy.high < floor:
        return (
            f"accuracy {accuracy.value:.3f}, at most {accuracy.high:.3f} by {accuracy.labels} audit labels, "
            f"is below {floor:g}"
        )
    if finding is not None and finding.level is Level.CONFIRMED:
        return f"drift confirmed on {finding.images} uploads"
    return None


def job_id(state: TrainingState) -> str:
    """Return the id of the job that would begin after this state; equal states give equal ids."""
    return numbered(state.jobs + 1)


def numbered(job: int) -> str:
    """Return the id of a job by its number, from 1."""
    return f"train-{job:06d}"
