"""The progress of the newest backfill: one item in the control table, changed by compare-and-swap."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.dynamodb.items import text
from octospoon.domain.pool.backfill import Backfill

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable

_ITEM = "backfill"


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
        return self._table.update(
            _ITEM,
            {"revision": now.revision, "body": msgspec.json.encode(now).decode()},
            "attribute_not_exists(#revision) OR #revision = :was",
            {":was": before.revision},
        )
