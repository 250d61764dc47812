"""When to train: by the number of new labels, or because a job was lost or failed."""

from __future__ import annotations

from octospoon.domain.entities import JobStatus, TrainingState


def due(state: TrainingState, threshold: int, now: float) -> str | None:
    """Return why a training job should begin now, or None.

    A launching or running job whose lease has run out is lost, and its labels were already taken off the
    counter: it is due again at once. A failed one is due again when its lease has run out, or when enough
    new labels have come.

    Args:
        state: the control item.
        threshold: new labels that make a job due, at least 1.
        now: epoch seconds.
    """
    if state.status in (JobStatus.LAUNCHING, JobStatus.RUNNING):
        lost = now > state.lease_until
        return f"job {state.job_id} was lost: its lease ran out while {state.status}" if lost else None
    if state.new_labels >= threshold:
        return f"{state.new_labels} new labels, threshold {threshold}"
    if state.status is JobStatus.FAILED and now > state.lease_until:
        return f"job {state.job_id} failed: {state.reason}"
    return None


def job_id(state: TrainingState) -> str:
    """Return the id of the job that would begin after this state; equal states give equal ids."""
    return numbered(state.jobs + 1)


def numbered(job: int) -> str:
    """Return the id of a job by its number, from 1."""
    return f"train-{job:06d}"
