"""The progress of the task sync and of the full audit, changed by compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import flag, integer, number, text
from octospoon.domain.labelling.reconciliation import FullAudit, TaskSync

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable

_SAME_TASK_SYNC = (
    "attribute_not_exists(#began) OR "
    "(#began = :was_began AND #position = :was_position AND #finished = :was_finished)"
)


class DynamoTaskSync:
    """Implements `octospoon.ports.reconciliation.TaskSyncs`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def read(self) -> TaskSync:
        """Return the newest task sync."""
        item = self._table.read("reconcile")
        if not item:
            return TaskSync()
        return TaskSync(
            began=number(item, "began"),
            since=number(item, "since"),
            position=integer(item, "position"),
            finished=flag(item, "finished"),
            full_began=number(item, "full_began"),
            classes=text(item, "classes"),
        )

    def save(self, before: TaskSync, sync: TaskSync) -> bool:
        """Replace `before`; return False if it has been replaced already."""
        return self._table.update(
            "reconcile",
            {name: getattr(sync, name) for name in TaskSync.__slots__},
            _SAME_TASK_SYNC,
            {
                ":was_began": before.began,
                ":was_position": before.position,
                ":was_finished": before.finished,
            },
        )


class DynamoFullAudits:
    """Implements `octospoon.ports.pool.FullAudits`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def read(self) -> FullAudit:
        """Return the newest full audit."""
        item = self._table.read("full-audit")
        if not item:
            return FullAudit()
        return FullAudit(
            began=number(item, "began"),
            phase=text(item, "phase"),
            cursor=text(item, "cursor"),
            finished=flag(item, "finished"),
        )

    def save(self, before: FullAudit, full_audit: FullAudit) -> bool:
        """Replace `before`; return False if it has been replaced already."""
        names = FullAudit.__slots__
        same = " AND ".join(f"#{name} = :was_{name}" for name in names)
        return self._table.update(
            "full-audit",
            {name: getattr(full_audit, name) for name in names},
            f"attribute_not_exists(#began) OR ({same})",
            {f":was_{name}": getattr(before, name) for name in names},
        )
