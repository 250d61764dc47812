"""The state machine of the training job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.control.job_items import (
    change_text,
    classes_text,
    settings_text,
    training_state,
)
from octospoon.domain.pool.keys import day
from octospoon.domain.training.jobs import JobSettings, JobStatus, TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.adapters.dynamodb.control.table import ControlTable
    from octospoon.adapters.dynamodb.items import Value
    from octospoon.domain.training.backbone_change import BackboneChange

_REASON = 1000
"""Characters of a reason that are kept."""
_THIS_JOB = "#job_id = :job_id AND #status IN "
_UNCHANGED = (
    "(attribute_not_exists(#jobs) OR #jobs = :jobs) AND "
    "(attribute_not_exists(#status) OR #status = :status) AND "
    "(attribute_not_exists(#new_labels) OR #new_labels = :new_labels)"
)


class DynamoControl:
    """Implements `octospoon.ports.training.Control`."""

    def __init__(self, table: ControlTable, now: Callable[[], float]) -> None:
        self._table = table
        self._now = now

    def state(self) -> TrainingState:
        """Return the current state."""
        return training_state(self._table.read("training"))

    def begin(
        self,
        before: TrainingState,
        job_id: str,
        reason: str,
        lease_until: float,
        settings: JobSettings | None = None,
    ) -> bool:
        """Move to launching, and reset the counter of new labels."""
        now = self._now()
        today = day(now)
        return self._table.update(
            "training",
            {
                "status": JobStatus.LAUNCHING,
                "job_id": job_id,
                "jobs": before.jobs + 1,
                "lease_until": lease_until,
                "reason": reason,
                "new_labels": 0,
                "since": before.jobs + 1,
                "begun_at": now,
                "begun_day": today,
                "begun_today": before.begun_today + 1 if before.begun_day == today else 1,
                "lost": before.lost_before_next(),
                "requested": "",
                "settings": settings_text(settings),
            },
            _UNCHANGED,
            {":jobs": before.jobs, ":status": before.status, ":new_labels": before.new_labels},
        )

    def request(self, reason: str) -> None:
        """Request a training job. The request lapses when the next job begins for any reason."""
        new = "attribute_not_exists(#requested) OR #requested <> :requested"
        self._table.update("training", {"requested": reason}, new, {":requested": reason})

    def keep_classes(self, classes: tuple[str, ...]) -> None:
        """Store the class names that the labelling project has now."""
        others = "attribute_not_exists(#project_classes) OR #project_classes <> :classes"
        value = classes_text(classes)
        self._table.update("training", {"project_classes": value}, others, {":classes": value})

    def change_backbone(self, change: BackboneChange) -> bool:
        """Store a change of the backbone with the next revision, unless the stored one has another."""
        values: dict[str, Value] = {
            "backbone_change": change_text(change),
            "backbone_revision": change.revision + 1,
        }
        condition = "#backbone_revision = :revision"
        if change.revision == 0:
            condition = "attribute_not_exists(#backbone_revision)"
            return self._table.update("training", values, condition, {})
        return self._table.update("training", values, condition, {":revision": change.revision})

    def abort(self, job_id: str, before: TrainingState, reason: str) -> bool:
        """Move launching -> failed after a launch that failed, and restore the counter of new labels."""
        values: dict[str, Value] = {
            "status": JobStatus.FAILED,
            "since": before.since,
            "reason": reason[:_REASON],
            "lease_until": self._now(),
        }
        return self._move(job_id, [JobStatus.LAUNCHING], values, ("new_labels", before.new_labels))

    def start(self, job_id: str, lease_until: float) -> bool:
        """Move launching -> running, or take over a running job with an expired lease."""
        condition = (
            "#job_id = :job_id AND (#status = :launching OR (#status = :running AND #lease_until < :now))"
        )
        return self._table.update(
            "training",
            {"status": JobStatus.RUNNING, "lease_until": lease_until},
            condition,
            {
                ":job_id": job_id,
                ":launching": JobStatus.LAUNCHING,
                ":running": JobStatus.RUNNING,
                ":now": self._now(),
            },
        )

    def relaunch(self, lost: TrainingState, lease_until: float) -> bool:
        """Move running -> launching, because the process of the job is known to be dead."""
        return self._table.update(
            "training",
            {"status": JobStatus.LAUNCHING, "lease_until": lease_until},
            "#job_id = :job_id AND #status = :running AND #lease_until = :lease",
            {":job_id": lost.job_id, ":running": JobStatus.RUNNING, ":lease": lost.lease_until},
        )

    def renew(self, job_id: str, lease_until: float) -> bool:
        """Extend the lease of a running job; return False if this job is no longer the running one."""
        return self._move(job_id, [JobStatus.RUNNING], {"lease_until": lease_until})

    def finish(self, job_id: str, reason: str) -> bool:
        """Move running -> idle."""
        return self._move(job_id, [JobStatus.RUNNING], {"status": JobStatus.IDLE, "reason": reason})

    def fail(self, job_id: str, reason: str, retry_at: float) -> bool:
        """Move launching or running -> failed, with the reason. The job is retried at `retry_at`."""
        active = [JobStatus.LAUNCHING, JobStatus.RUNNING]
        values: dict[str, Value] = {
            "status": JobStatus.FAILED,
            "reason": reason[:_REASON],
            "lease_until": retry_at,
        }
        return self._move(job_id, active, values)

    def _move(
        self,
        job_id: str,
        before: Sequence[JobStatus],
        values: dict[str, Value],
        add: tuple[str, int] | None = None,
    ) -> bool:
        given: dict[str, Value] = {f":from{i}": status for i, status in enumerate(before)}
        condition = _THIS_JOB + "(" + ", ".join(given) + ")"
        return self._table.update("training", values, condition, given | {":job_id": job_id}, add)
