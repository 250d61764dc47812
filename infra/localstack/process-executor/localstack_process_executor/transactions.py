"""TransactWriteItems in moto, at a cost that does not grow with the tables.

Before a transaction, moto deep-copies every table, to restore it if a condition fails. This one copies only
the items that the transaction names.
"""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Uncopied(dict[str, Any]):
    """The tables of a backend during a transaction, which are not copied by moto's deep copy."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> _Uncopied:
        return self


class _Snapshot:
    """The state that a transaction may change: the items that it names, and the streams of their tables."""

    def __init__(self, tables: dict[str, Any], transact_items: list[dict[str, Any]]) -> None:
        self._items = [
            (table, keys, copy.deepcopy(table.get_item(*keys)))
            for table, keys in _targets(tables, transact_items)
        ]
        shards = (table.stream_shard for table, _, _ in self._items)
        self._streams = [(shard, list(shard.items)) for shard in shards if shard is not None]

    def restore(self) -> None:
        """Put everything back."""
        for table, keys, item in self._items:
            _put_back(table, keys, item)
        for shard, records in self._streams:
            shard.items = records


def _targets(
    tables: dict[str, Any], transact_items: list[dict[str, Any]]
) -> Iterator[tuple[Any, tuple[DynamoType, DynamoType | None]]]:
    """Yield the table and the key of each write, except for writes that moto will refuse."""
    for operation in (op for item in transact_items for op in item.values()):
        table = tables.get(operation.get("TableName", "").split(":table/")[-1])
        attributes = operation.get("Key") or operation.get("Item") or {}
        names = [table.hash_key_attr, table.range_key_attr] if table else [None]
        if all(name is None or name in attributes for name in names) and table:
            hash_key, range_key = (DynamoType(attributes[name]) if name else None for name in names)
            yield table, (hash_key, range_key)


def _put_back(table: Any, keys: tuple[DynamoType, DynamoType | None], item: Any) -> None:  # noqa: ANN401
    hash_key, range_key = keys
    if range_key is None:
        items, key = table.items, hash_key
    else:
        items, key = table.items[hash_key], range_key
    if item is None:
        items.pop(key, None)
    else:
        items[key] = item


def _transact(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:  # noqa: ANN401
        tables = self.tables
        snapshot = _Snapshot(tables, transact_items)
        self.tables = _Uncopied(tables)
        try:
            original(self, transact_items)
        except Exception:
            snapshot.restore()
            raise
        finally:
            self.tables = tables

    return transact_write_items


def install() -> None:
    """Replace moto's method, unless it is replaced already."""
    if not hasattr(DynamoDBBackend.transact_write_items, "__wrapped__"):
        DynamoDBBackend.transact_write_items = _transact(DynamoDBBackend.transact_write_items)
