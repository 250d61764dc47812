"""DynamoDB items on disk: what a request changes is one transaction, written before its answer."""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from localstack_process_executor import providers
from localstack_process_executor.durable.store import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from localstack_process_executor.durable.store import Store

    Method = Callable[..., Any]


def install(store: Store) -> None:
    """Let moto note what it changes, and fill each table when it is created."""
    touched = Touched(store)
    Table.put_item = _noting_put(Table.put_item, touched)
    Table.delete_item = _noting_delete(Table.delete_item, touched)
    DynamoDBBackend.update_item = _noting_update(DynamoDBBackend.update_item, touched)
    DynamoDBBackend.create_table = _filling(DynamoDBBackend.create_table, store)
    providers.after_each_request(touched.write)


class Touched:
    """The items that the request in progress may have changed. moto handles one request at a time.

    Args:
        store: receives the changes.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._items: dict[tuple[str, str], tuple[Any, DynamoType, DynamoType | None]] = {}

    def add(self, table: Any, hash_key: DynamoType, range_key: DynamoType | None) -> None:  # noqa: ANN401
        """Note an item by its key."""
        key = json.dumps([hash_key.to_json(), range_key.to_json() if range_key else None])
        self._items[space_of(table), key] = (table, hash_key, range_key)

    def write(self) -> None:
        """Write the noted items as they are now, and forget which they were."""
        items, self._items = self._items, {}
        if items:
            self._store.write(Change(space, key, _body(*item)) for (space, key), item in items.items())


def space_of(table: Any) -> str:  # noqa: ANN401 - moto's types are not ours
    """Return the name of a table's records in the store."""
    return f"table/{table.account_id}/{table.region_name}/{table.name}"


def fill(table: Any, store: Store) -> None:  # noqa: ANN401
    """Put the items of the store into a new table, under its keys."""
    for _, body in store.read(space_of(table)):
        attributes = json.loads(body)
        hash_key, range_key = _keys(table, attributes)
        item = Item(hash_key, range_key, attributes)
        if range_key is None:
            table.items[hash_key] = item
        else:
            table.items[hash_key][range_key] = item


def _keys(table: Any, attributes: dict[str, Any]) -> tuple[DynamoType, DynamoType | None]:  # noqa: ANN401
    hash_key = DynamoType(attributes[table.hash_key_attr])
    return hash_key, DynamoType(attributes[table.range_key_attr]) if table.range_key_attr else None


def _body(table: Any, hash_key: DynamoType, range_key: DynamoType | None) -> str | None:  # noqa: ANN401
    item = table.get_item(hash_key, range_key)
    return json.dumps({name: plain(value) for name, value in item.attrs.items()}) if item else None


def plain(value: DynamoType) -> dict[str, Any]:
    """Return a value as DynamoDB's JSON has it, for example `{"S": "text"}`."""
    content = value.value
    if isinstance(content, dict):
        content = {name: plain(inner) for name, inner in content.items()}
    elif isinstance(content, list):
        content = [plain(inner) if isinstance(inner, DynamoType) else inner for inner in content]
    elif isinstance(content, bytes):
        content = base64.b64encode(content).decode()
    return {value.type: content}


def _noting_put(original: Method, touched: Touched) -> Method:
    @functools.wraps(original)
    def put_item(self: Any, item_attrs: dict[str, Any], *rest: Any, **options: Any) -> Any:  # noqa: ANN401
        answer = original(self, item_attrs, *rest, **options)
        touched.add(self, *_keys(self, item_attrs))
        return answer

    return put_item


def _noting_delete(original: Method, touched: Touched) -> Method:
    @functools.wraps(original)
    def delete_item(self: Any, hash_key: DynamoType, range_key: DynamoType | None) -> Any:  # noqa: ANN401
        answer = original(self, hash_key, range_key)
        touched.add(self, hash_key, range_key)
        return answer

    return delete_item


def _noting_update(original: Method, touched: Touched) -> Method:
    @functools.wraps(original)
    def update_item(self: Any, table_name: str, key: dict[str, Any], *rest: Any, **options: Any) -> Any:  # noqa: ANN401
        try:
            return original(self, table_name, key, *rest, **options)
        finally:  # moto may have changed the item before it fails
            table = self.tables.get(table_name.split(":table/")[-1])
            if table is not None and all(name in key for name in table.table_key_attrs):
                touched.add(table, *_keys(table, key))

    return update_item


def _filling(original: Method, store: Store) -> Method:
    @functools.wraps(original)
    def create_table(self: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        table = original(self, *arguments, **options)
        fill(table, store)
        return table

    return create_table
