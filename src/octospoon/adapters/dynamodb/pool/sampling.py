"""The selectable images by sampling key."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import Item, Value, number, text
from octospoon.adapters.dynamodb.pool.rows import DynamoRows
from octospoon.adapters.dynamodb.requests import query
from octospoon.domain.pool.images import Candidate
from octospoon.domain.pool.keys import STEP

if TYPE_CHECKING:
    from collections.abc import Iterator

BETWEEN = "#sampling_key BETWEEN :first AND :last"


class DynamoSampling(DynamoRows):
    """Implements `octospoon.ports.pool.PoolSampling`."""

    def selectable(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        """Return a page of the selectable images of one shard, ordered by sampling key."""
        if start + STEP > end:
            return [], None
        given = {":shard": f"{shard:02d}"} | between(start, end)
        entries = self._query("by_sampling_key", f"#shard = :shard AND {BETWEEN}", given, limit=limit)
        page = [candidate(item) for item in itertools.islice(entries, limit)]
        return page, page[-1].sampling_key if len(page) == limit else None

    def _query(
        self, index: str, condition: str, given: dict[str, Value], *, limit: int, forward: bool = True
    ) -> Iterator[Item]:
        table = self._table
        return query(table.client, table.name, index, condition, given, limit=limit, forward=forward)


def between(start: float, end: float = 1.0) -> dict[str, Value]:
    """Return the values of BETWEEN, which includes both borders, for sampling keys in (start, end]."""
    return {":first": start + STEP, ":last": end}


def candidate(item: Item) -> Candidate:
    """Return a selectable image from its entry in an index."""
    return Candidate(
        key=text(item, "key"),
        etag=text(item, "etag"),
        priority=number(item, "priority") if "priority" in item else None,
        sampling_key=number(item, "sampling_key"),
    )
