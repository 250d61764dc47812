"""Find out early, from the platform that runs training jobs, that a job will not come to its end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.errors import OctospoonError

if TYPE_CHECKING:
    from octospoon.ports.clock import Clock
    from octospoon.ports.training import Control, LaunchedJobs

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GiveUpLostJob:
    """The use case: let the newest job fail, with the platform's reason, if it is lost.

    Without it a job is lost when its lease runs out, and nobody knows why. A job that the platform has ended
    is lost at once. A job whose lease ran out is lost whatever the platform says, because its process would
    have renewed the lease.

    Attributes:
        control: the training job's state.
        platform: runs the jobs.
        clock: the time.
    """

    control: Control
    platform: LaunchedJobs
    clock: Clock

    def __call__(self) -> bool:
        """Return whether a job was given up. An error of the platform is logged, and the lease decides."""
        state = self.control.state()
        if not state.is_active:
            return False
        try:
            fate = self.platform.fate(state.job_id)
        except OctospoonError as error:
            LOG.warning("it is not known what became of %s: %s", state.job_id, error)
            return False
        if fate is None:
            return False
        now = self.clock.now()
        if fate.over:
            reason = f"it ended while {state.status}: {fate.text}"
        elif now > state.lease_until:
            reason = f"its lease ran out while {state.status}: {fate.text}"
        else:
            return False
        LOG.warning("job %s is lost: %s", state.job_id, reason)
        # a process of the job that lives nevertheless finds that it is no longer the running one, and ends
        return self.control.fail(state.job_id, reason, now)

    def stop_rest(self, job_id: str) -> None:
        """Stop a job that another replaces. An error does no harm, so it is only logged."""
        try:
            self.platform.stop(job_id)
        except OctospoonError as error:
            LOG.warning("what is left of %s is not stopped: %s", job_id, error)
