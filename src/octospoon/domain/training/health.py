"""Find out from the state of training whether something runs its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.training.jobs import JobStatus

if TYPE_CHECKING:
    from octospoon.domain.training.jobs import TrainingState

TAKEN_WITHIN = 120.0
"""Seconds within which a worker takes a job from the training queue."""


def unread(state: TrainingState, waiting: int, now: float) -> str | None:
    """Return the problem if no worker reads the training queue, or None.

    A message that a worker is at work on is hidden, and a worker deletes the messages of jobs that are over.

    Args:
        state: the stored state.
        waiting: visible messages in the queue.
        now: epoch seconds.
    """
    seconds = now - state.begun_at
    if not waiting or state.status is not JobStatus.LAUNCHING or seconds <= TAKEN_WITHIN:
        return None
    return (
        f"no worker reads the training queue: {state.job_id} has waited there for {seconds / 60:,.0f} minutes"
    )


def lost(state: TrainingState) -> str | None:
    """Return the problem if training jobs in a row did not come to their end, or None."""
    jobs = state.lost_in_a_row()
    if jobs < 2:
        return None
    return f"{jobs} training jobs in a row did not come to their end; {state.job_id}: {state.reason}"
