"""The progress of publishing events: one item in the control table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from octospoon.domain.monitoring.events import Published

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable

_ITEM = "events"


class DynamoEventProgress:
    """Implements `octospoon.ports.events.EventProgress`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def read(self) -> Published:
        """Return the progress."""
        item = self._table.read(_ITEM)
        return msgspec.json.decode(item["body"]["S"], type=Published) if item else Published()

    def save(self, progress: Published) -> bool:
        """Store the progress with the next revision; return False if the stored revision is another."""
        later = replace(progress, revision=progress.revision + 1)
        return self._table.replace(_ITEM, msgspec.json.encode(later).decode(), progress.revision)
