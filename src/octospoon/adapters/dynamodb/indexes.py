"""The pool's indexes as they are read: page by page, and as re-scoring goes through them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import Item, Value, dump_item, names_of, number, text
from octospoon.domain.pool.keys import STEP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

BETWEEN = "#sampling_key BETWEEN :first AND :last"
_OUTDATED = "( #generation < :generation OR #scored_at < :before )"


class DynamoWalk:
    """Implements `octospoon.ports.pool.PoolWalk`.

    Args:
        client: of DynamoDB.
        table: name of the pool table.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def uploaded(self, shard: int, day: str, start: float, limit: int) -> tuple[list[str], float | None]:
        """Page through the images of one shard uploaded on a day, by sampling key above `start`."""
        given = {":arrival": f"{day}/{shard:02d}"} | between(start)
        condition = f"#arrival = :arrival AND {BETWEEN}"
        found = query(self._client, self._table, "by_arrival", condition, given, limit=limit)
        page = list(itertools.islice(found, limit))
        following = number(page[-1], "sampling_key") if len(page) == limit else None
        return [text(item, "key") for item in page], following

    def outdated(
        self, shard: int, generation: int, before: float, oldest: str, start: float, limit: int
    ) -> tuple[list[str], float | None]:
        """Look through up to `limit` selectable images of one shard by sampling key above `start`."""
        condition = f"#shard = :shard AND {BETWEEN}"
        given: dict[str, Value] = {":shard": f"{shard:02d}", ":generation": generation, ":before": before}
        filtered = _OUTDATED
        if oldest:
            given[":oldest"] = oldest
            filtered += " AND #arrival >= :oldest"
        request = _request(self._table, "by_sampling_key", condition, given | between(start), filtered)
        with translated("querying by_sampling_key"):
            answer = self._client.query(**request, Limit=limit)
        last = answer.get("LastEvaluatedKey")
        keys = [text(item, "key") for item in answer["Items"]]
        return keys, number(last, "sampling_key") if last else None


def query(
    client: DynamoDBClient,
    table: str,
    index: str,
    condition: str,
    given: dict[str, Value],
    *,
    limit: int,
    forward: bool = True,
) -> Iterator[Item]:
    """Yield the entries of an index, `limit` a request, as many requests as are asked for."""
    request = _request(table, index, condition, given) | {"ScanIndexForward": forward, "Limit": limit}
    while True:
        with translated(f"querying {index}"):
            answer = client.query(**request)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def between(start: float, end: float = 1.0) -> dict[str, Value]:
    """Return the values of BETWEEN, which takes both borders in, for sampling keys in (start, end]."""
    return {":first": start + STEP, ":last": end}


def _request(
    table: str, index: str, condition: str, given: dict[str, Value], filtered: str = ""
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "TableName": table,
        "IndexName": index,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names_of(f"{condition} {filtered}"),
        "ExpressionAttributeValues": dump_item(given),
    }
    return request | ({"FilterExpression": filtered} if filtered else {})
