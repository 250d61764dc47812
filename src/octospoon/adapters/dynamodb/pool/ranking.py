"""The pool as the rank function reads it: candidates by priority, and claims for a labelling round."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.pool.sampling import DynamoSampling, candidate
from octospoon.domain.pool import keys
from octospoon.domain.pool.images import Candidate, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.adapters.dynamodb.items import Value
    from octospoon.domain.labelling.tasks import Pick

_CLAIM = "(#state = :scored AND #etag = :etag) OR (#round = :round AND #state IN (:claimed, :exported))"


class DynamoRankingPool(DynamoSampling):
    """Implements `octospoon.ports.pool.RankingPool`.

    Args:
        client: of DynamoDB.
        table: name of the pool table.
        now: the time, recorded with every export.
    """

    def __init__(self, client: DynamoDBClient, table: str, now: Callable[[], float]) -> None:
        super().__init__(client, table)
        self._now = now

    def top(self, n: int) -> list[Candidate]:
        """Return the n selectable images of highest priority; equal priorities are ordered by key."""
        shards = [self._by_priority(shard, page=max(8, 2 * n // keys.SHARDS)) for shard in range(keys.SHARDS)]
        merged = heapq.merge(*shards, key=lambda image: (-(image.priority or 0.0), image.key))
        return list(itertools.islice(merged, n))

    def _by_priority(self, shard: int, page: int) -> Iterator[Candidate]:
        """Yield a shard by falling priority, and by key where priorities are equal."""
        given = {":shard": f"{shard:02d}"}
        items = self._query("by_priority", "#priority_shard = :shard", {**given}, limit=page, forward=False)
        candidates = (candidate(item) for item in items)
        # DynamoDB orders equal priorities arbitrarily; the merge needs them by key
        for _, equals in itertools.groupby(candidates, key=lambda image: image.priority):
            yield from sorted(equals, key=lambda image: image.key)

    def claim(self, pick: Pick, round_number: int, until: float) -> bool:
        """Claim one selectable image for a round; return False if another run was first."""
        return self._table.update(
            pick.key,
            {"state": State.CLAIMED, "claim_until": until, **picked(pick, round_number)},
            ("shard", "priority_shard"),
            _CLAIM,
            {
                ":scored": State.SCORED,
                ":etag": pick.etag,
                ":round": round_number,
                ":claimed": State.CLAIMED,
                ":exported": State.EXPORTED,
            },
        )

    def mark_exported(self, key: str, round_number: int, task_id: int) -> None:
        """Record that an image of this round has a task in Label Studio."""
        self._table.update(
            key,
            {"state": State.EXPORTED, "task_id": task_id, "exported_at": self._now()},
            ("claim_until",),
            "#round = :round AND #state = :claimed",
            {":round": round_number, ":claimed": State.CLAIMED},
        )


def picked(pick: Pick, round_number: int) -> dict[str, Value | None]:
    """Return the attributes that say how an image was chosen for a round."""
    return {
        "round": round_number,
        "strategy": pick.strategy,
        "pick_score": pick.score,
        "pick_rank": pick.rank,
        "draw_probability": pick.draw_probability,
        "audit": pick.audit,
        "blind": pick.blind,
    }
