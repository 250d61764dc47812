"""The pool as the watch function reads it: a bounded number of uploads of each day."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import text
from octospoon.adapters.dynamodb.pool.rows import DynamoRows
from octospoon.adapters.dynamodb.requests import query
from octospoon.domain.pool.keys import SHARDS

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.items import Value


class DynamoWatchingPool(DynamoRows):
    """Implements `octospoon.ports.pool.WatchingPool`."""

    def arrived(self, day: str, limit: int) -> list[str]:
        """Return the keys of up to `limit` images uploaded on a day, sampled almost uniformly."""
        page = -(-limit // SHARDS)
        keys: list[str] = []
        for shard in range(SHARDS):
            given: dict[str, Value] = {":arrival": f"{day}/{shard:02d}"}
            items = query(
                self._table.client,
                self._table.name,
                "by_arrival",
                "#arrival = :arrival",
                given,
                limit=page,
            )
            keys += [text(item, "key") for item in itertools.islice(items, page)]
        return keys[:limit]
