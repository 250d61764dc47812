"""How far the reconciler's walks are: one item each in the control table, moved by compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import flag, integer, number, text
from octospoon.domain.labelling.reconciliation import Inventory, Sweep

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control import ControlTable

_THIS_SWEEP = (
    "attribute_not_exists(#began) OR "
    "(#began = :was_began AND #position = :was_position AND #finished = :was_finished)"
)


class DynamoSweeps:
    """Implements `octospoon.ports.labelling.Sweeps`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def read(self) -> Sweep:
        """Return the newest sweep."""
        item = self._table.read("reconcile")
        if not item:
            return Sweep()
        return Sweep(
            began=number(item, "began"),
            since=number(item, "since"),
            position=integer(item, "position"),
            finished=flag(item, "finished"),
            full_began=number(item, "full_began"),
            classes=text(item, "classes"),
        )

    def save(self, before: Sweep, sweep: Sweep) -> bool:
        """Replace `before`; False where somebody else has replaced it already."""
        return self._table.update(
            "reconcile",
            {name: getattr(sweep, name) for name in Sweep.__slots__},
            _THIS_SWEEP,
            {
                ":was_began": before.began,
                ":was_position": before.position,
                ":was_finished": before.finished,
            },
        )


class DynamoInventories:
    """Implements `octospoon.ports.pool.Inventories`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def read(self) -> Inventory:
        """Return the newest one."""
        item = self._table.read("inventory")
        if not item:
            return Inventory()
        return Inventory(
            began=number(item, "began"),
            phase=text(item, "phase"),
            cursor=text(item, "cursor"),
            finished=flag(item, "finished"),
        )

    def save(self, before: Inventory, inventory: Inventory) -> bool:
        """Replace `before`; False where somebody else has replaced it already."""
        names = Inventory.__slots__
        same = " AND ".join(f"#{name} = :was_{name}" for name in names)
        return self._table.update(
            "inventory",
            {name: getattr(inventory, name) for name in names},
            f"attribute_not_exists(#began) OR ({same})",
            {f":was_{name}": getattr(before, name) for name in names},
        )
