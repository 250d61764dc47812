"""The pool as the reconciler reads and repairs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import Item, Value, dump_item, integer, number, text
from octospoon.adapters.dynamodb.pool.rows import PoolTable
from octospoon.adapters.dynamodb.requests import batch_get
from octospoon.domain.labelling.reconciliation import PoolEntry
from octospoon.domain.pool import keys as hashes
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

_ATTRIBUTES = ("key", "etag", "state", "sequencer", "round", "claim_until", "reason", "object_etag")
_UNCHANGED = "#state = :was_state AND #etag = :was_etag"


class DynamoEntries:
    """Implements `octospoon.ports.pool.PoolEntries`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = PoolTable(client, table)

    def entries(self, keys: Sequence[str]) -> dict[str, PoolEntry]:
        """Return the entries of these images by key, without missing images."""
        items = batch_get(self._table.client, self._table.name, keys, _ATTRIBUTES)
        return {text(item, "key"): _entry(item) for item in items}

    def page(self, after: str, limit: int) -> tuple[list[PoolEntry], str]:
        """Return up to `limit` entries that follow the key `after` in the table's order, and the last key."""
        request: dict[str, Any] = {
            "TableName": self._table.name,
            "ProjectionExpression": ", ".join(f"#{name}" for name in _ATTRIBUTES),
            "ExpressionAttributeNames": {f"#{name}": name for name in _ATTRIBUTES},
            "ConsistentRead": True,
            "Limit": limit,
        }
        if after:
            request["ExclusiveStartKey"] = dump_item({"key": after})
        with translated("reading the pool"):
            answer = self._table.client.scan(**request)
        end = text(answer.get("LastEvaluatedKey") or {}, "key")
        return [_entry(item) for item in answer["Items"]], end

    def adopt(self, entry: PoolEntry, task_id: int) -> bool:
        """Record the task of an image that was selectable or claimed, unless the entry has changed."""
        values: dict[str, Value | None] = {"state": State.EXPORTED, "task_id": task_id}
        return self._move(entry, values, ("shard", "priority_shard", "claim_until", "exported_at"))

    def release(self, entry: PoolEntry) -> bool:
        """Make a claimed, exported or retired image selectable again, unless the entry has changed."""
        item = self._table.item(entry.key, ("key", "priority"))
        if item is None:
            return False
        shard = f"{hashes.shard(entry.key):02d}"
        values: dict[str, Value | None] = {"state": State.SCORED, "shard": shard}
        # a score that is written in between may be the first one with a priority
        unchanged = "attribute_not_exists(#priority)"
        if "priority" in item:
            values["priority_shard"] = shard
            unchanged = "attribute_exists(#priority)"
        removed = ("claim_until", "task_id", "exported_at", "reason", "detail")
        return self._move(entry, values, removed, f"{_UNCHANGED} AND {unchanged}")

    def withdraw(self, entry: PoolEntry, reason: str, detail: str) -> bool:
        """Put an image without an object, or a retired one, into quarantine, unless the entry has changed."""
        values: dict[str, Value | None] = {"state": State.QUARANTINED, "reason": reason, "detail": detail}
        return self._move(entry, values, ("shard", "priority_shard", "claim_until"))

    def _move(
        self,
        entry: PoolEntry,
        values: dict[str, Value | None],
        remove: Sequence[str],
        condition: str = _UNCHANGED,
    ) -> bool:
        given: dict[str, Value] = {":was_state": entry.state, ":was_etag": entry.etag}
        if entry.claim_until:
            condition += " AND #claim_until = :was_claim_until"
            given[":was_claim_until"] = entry.claim_until
        return self._table.update(entry.key, values, remove, condition, given)


def _entry(item: Item) -> PoolEntry:
    return PoolEntry(
        key=text(item, "key"),
        etag=text(item, "etag"),
        state=State(text(item, "state")),
        sequencer=text(item, "sequencer"),
        round_number=integer(item, "round"),
        claim_until=number(item, "claim_until"),
        reason=text(item, "reason"),
        object_etag=text(item, "object_etag"),
    )
