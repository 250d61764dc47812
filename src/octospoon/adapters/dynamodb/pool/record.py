"""The history of one image, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import Item, integer, number, text
from octospoon.adapters.dynamodb.pool import score_history
from octospoon.adapters.dynamodb.pool.rows import PoolTable
from octospoon.domain.pool.images import State
from octospoon.domain.trace import ImageRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoRecords:
    """Implements `octospoon.ports.pool.ImageRecords`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = PoolTable(client, table)

    def record(self, key: str) -> ImageRecord | None:
        """Return everything that the pool holds about an image, or None if there is no such image."""
        item = self._table.item(key)
        return None if item is None else _record(item)


def _record(item: Item) -> ImageRecord:
    return ImageRecord(
        key=text(item, "key"),
        etag=text(item, "etag"),
        sequencer=text(item, "sequencer"),
        state=State(text(item, "state")),
        scores=score_history.scores(item),
        task_id=integer(item, "task_id"),
        exported_at=_time(item, "exported_at"),
        label=text(item, "label") if "label" in item else None,
        agreement=number(item, "agreement"),
        annotators=integer(item, "annotators"),
        labelled_at=_time(item, "labelled_at"),
        reason=text(item, "reason"),
        detail=text(item, "detail"),
        quarantined_at=_time(item, "quarantined_at"),
        previous_uploads=score_history.previous_uploads(item),
        object_etag=text(item, "object_etag"),
    )


def _time(item: Item, name: str) -> float | None:
    return number(item, name) if name in item else None
