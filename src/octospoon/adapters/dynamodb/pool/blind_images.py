"""The images that are labelled blind, from the pool table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import flag, text
from octospoon.adapters.dynamodb.requests import batch_get

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoBlindImages:
    """Implements `octospoon.ports.pool.BlindImages`.

    Args:
        client: of DynamoDB.
        table: name of the pool table.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def among(self, keys: Sequence[str]) -> set[str]:
        """Return the images among `keys` that are labelled without a prediction."""
        items = batch_get(self._client, self._table, keys, ("key", "blind"), consistent=False)
        return {text(item, "key") for item in items if flag(item, "blind")}
