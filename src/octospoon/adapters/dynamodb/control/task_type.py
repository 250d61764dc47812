"""The task type of a stack's labels, kept in one item of the control table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import integer, text
from octospoon.domain.task_types.named import check_unchanged
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable

ITEM = "task-type"


class DynamoTaskTypeRecord:
    """Keeps the kind of a stack's labels from the first label on.

    Args:
        table: the control table.
        name: the task type of the stack's settings.
    """

    def __init__(self, table: ControlTable, name: str) -> None:
        self._table = table
        self._name = name
        self._kept = False

    def read(self) -> str:
        """Return the task type of the stack's labels; empty before the first."""
        name = text(self._table.read(ITEM), "name")
        if name:
            return name
        # earlier releases kept no type: each of their labels names one class
        training = self._table.read("training")
        has_labels = integer(training, "jobs") > 0 or integer(training, "new_labels") > 0
        return TaskTypeName.CLASSIFICATION if has_labels else ""

    def check(self) -> None:
        """Raise NotConfigured if the stack's labels are of another task type than its settings."""
        check_unchanged(self.read(), self._name)

    def keep(self) -> None:
        """Keep the task type before a label is stored; raises as `check`.

        The first call writes, later ones cost nothing.
        """
        if self._kept:
            return
        self.check()
        same = "attribute_not_exists(#name) OR #name = :name"
        if not self._table.update(ITEM, {"name": self._name}, same, {":name": self._name}):
            self.check()  # another process was first
        self._kept = True
