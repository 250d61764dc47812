"""The progress of the newest backfill: one item in the control table, changed by compare-and-swap."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.dynamodb.items import number, text
from octospoon.domain.pool.backfill import Backfill

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable

_ITEM = "backfill"
_BACKLOG = "backlog"


class DynamoBackfills:
    """Implements `octospoon.ports.images.Backfills`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def read(self) -> Backfill:
        """Return the newest backfill."""
        item = self._table.read(_ITEM)
        return msgspec.json.decode(text(item, "body"), type=Backfill) if item else Backfill()

    def save(self, before: Backfill, backfill: Backfill) -> bool:
        """Replace `before`; return False if it has been replaced already."""
        now = replace(backfill, revision=before.revision + 1)
        return self._table.replace(_ITEM, msgspec.json.encode(now).decode(), before.revision)


class DynamoBacklog:
    """Implements `octospoon.ports.images.Backlog`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def until(self, now: float) -> float:
        """Return the time before which unknown objects are left to a backfill; `now` for the first call."""
        item = self._table.read(_BACKLOG)
        if not item:
            values = {"until": now}
            self._table.update(_BACKLOG, dict(values), "attribute_not_exists(#until)", {})
            item = self._table.read(_BACKLOG)
        return number(item, "until")

    def peek(self) -> float:
        """Return what `until` returns, without storing anything; infinity before its first call."""
        return number(self._table.read(_BACKLOG), "until", inf)

    def reach(self, since: float) -> None:
        """Record that no unknown object since this time is left to a backfill."""
        earlier = "attribute_not_exists(#until) OR #until > :since"
        self._table.update(_BACKLOG, {"until": since}, earlier, {":since": since})
