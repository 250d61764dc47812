"""The pool as re-scoring walks through it: by day of upload, then by age of the score."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import Value, number, text
from octospoon.adapters.dynamodb.pool.sampling import BETWEEN, between
from octospoon.adapters.dynamodb.requests import query, query_request

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

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
        """Return a page of the images of one shard uploaded on a day, ordered by sampling key."""
        given = {":arrival": f"{day}/{shard:02d}"} | between(start)
        condition = f"#arrival = :arrival AND {BETWEEN}"
        items = query(self._client, self._table, "by_arrival", condition, given, limit=limit)
        page = list(itertools.islice(items, limit))
        following = number(page[-1], "sampling_key") if len(page) == limit else None
        return [text(item, "key") for item in page], following

    def outdated(
        self, shard: int, generation: int, before: float, oldest: str, start: float, limit: int
    ) -> tuple[list[str], float | None]:
        """Return the images with an outdated score among the next `limit` selectable images of a shard."""
        condition = f"#shard = :shard AND {BETWEEN}"
        given: dict[str, Value] = {":shard": f"{shard:02d}", ":generation": generation, ":before": before}
        filtered = _OUTDATED
        if oldest:
            given[":oldest"] = oldest
            filtered += " AND #arrival >= :oldest"
        request = query_request(self._table, "by_sampling_key", condition, given | between(start), filtered)
        with translated("querying by_sampling_key"):
            answer = self._client.query(**request, Limit=limit)
        last = answer.get("LastEvaluatedKey")
        keys = [text(item, "key") for item in answer["Items"]]
        return keys, number(last, "sampling_key") if last else None
