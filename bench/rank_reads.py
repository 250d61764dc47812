"""Measure the reads for choosing a labelling batch, by the size of the pool."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from bench.memory_dynamo import MemoryDynamo, Metered

from octospoon.adapters.dynamodb.pool.ranking import DynamoRankingPool
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.usecases.choose_batch import ChooseBatch

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.domain.labelling.tasks import Pick

BATCH, ROUNDS = 50, 5
CHAMPION = ChampionPointer(1, "a" * 64, "m", "b" * 64, "h", "c" * 64, ("cat", "dog"))


class _Rounds:
    """Every round is the next one."""

    number = 0

    def last_number(self) -> int:
        self.number += 1
        return self.number


class _Clock:
    def now(self) -> float:
        return time.time()


def reads(client: Any, table: str, rounds: int = ROUNDS) -> tuple[dict[str, float], list[Pick]]:
    """Choose several batches; return the mean items, requests, units and ms, and all chosen images."""
    metered = Metered(client)
    nothing: Any = None
    choose = ChooseBatch(
        pool=DynamoRankingPool(cast("DynamoDBClient", metered), table, time.time),
        rounds=cast("Any", _Rounds()),
        clock=_Clock(),
        rules=BatchRules(BATCH, 0.2),
        strategy="margin_diverse",
        task_type=CLASSIFICATION,
        observations=nothing,
    )
    began = time.perf_counter()
    picks = [pick for _ in range(rounds) for pick in choose(CHAMPION).picks]
    spent = 1000 * (time.perf_counter() - began)
    totals = asdict(metered.meter) | {"ms": spent}
    return {name: total / rounds for name, total in totals.items()}, picks


def by_size(sizes: dict[str, int]) -> dict[str, Any]:
    """Return the items read for a batch of 50 by size of the pool, and the other measurements."""
    items: dict[str, Any] = {}
    details: dict[str, dict[str, float]] = {}
    for name, size in sizes.items():
        details[name], _ = reads(MemoryDynamo(size), "pool")
        items[name] = details[name]["items"]
        shown = ", ".join(f"{value:,.1f} {unit}" for unit, value in details[name].items())
        print(f"rank of {BATCH} from {size:>9,} rows: {shown}")
    return items | {"details": details}
