"""Rows of the pool by key, and their conditional update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import (
    Item,
    Value,
    dump_item,
    integer,
    names_of,
    text,
    unpack,
    unpack_prediction,
)
from octospoon.adapters.dynamodb.requests import batch_get, if_met, update_expression
from octospoon.domain.pool.images import PoolRow, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

_ROW = (
    "key",
    "etag",
    "state",
    "model_version",
    "backbone",
    "embedding",
    "probabilities",
    "boxes",
    "generation",
)


class PoolTable:
    """The table that every adapter of the pool reads and writes.

    Attributes:
        client: of DynamoDB.
        name: of the pool table.
    """

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self.client = client
        self.name = name

    def item(self, key: str, attributes: Sequence[str] = ()) -> Item | None:
        """Return the item of one key, whole or some attributes; None where there is none."""
        return next(batch_get(self.client, self.name, [key], attributes), None)

    def update(
        self,
        key: str,
        values: dict[str, Value | None],
        remove: Sequence[str],
        condition: str,
        given: dict[str, Value],
    ) -> bool:
        """Set and remove attributes of one item; False where the condition is not met.

        Args:
            key: of the image.
            values: the attributes to set; None leaves an attribute as it is.
            remove: the attributes to remove.
            condition: a condition expression.
            given: the values of the condition's placeholders.
        """
        update = update_expression([name for name, value in values.items() if value is not None], remove)
        sets = {f":set_{name}": value for name, value in values.items()}
        with translated(f"updating {key}"):
            return if_met(
                lambda: self.client.update_item(
                    TableName=self.name,
                    Key=dump_item({"key": key}),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names_of(update + condition),
                    ExpressionAttributeValues=dump_item(sets | given),
                )
            )


class DynamoRows:
    """Implements `octospoon.ports.pool.PoolRows`.

    Args:
        client: of DynamoDB.
        table: name of the pool table.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = PoolTable(client, table)

    def rows(self, keys: Sequence[str]) -> dict[str, PoolRow]:
        """Return the rows of these images by key, without missing and quarantined images."""
        items = batch_get(self._table.client, self._table.name, keys, _ROW)
        return {text(item, "key"): _row(item) for item in items if text(item, "state") != State.QUARANTINED}


def _row(item: Item) -> PoolRow:
    embedding = unpack(item, "embedding")
    assert embedding is not None, "every row outside quarantine has an embedding"  # noqa: S101
    return PoolRow(
        key=text(item, "key"),
        etag=text(item, "etag"),
        state=State(text(item, "state")),
        model_version=integer(item, "model_version"),
        backbone=text(item, "backbone"),
        embedding=embedding,
        probabilities=unpack_prediction(item),
        generation=integer(item, "generation"),
    )
