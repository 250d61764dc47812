"""The choice of images does not depend on how the pool is stored. Runs over the real adapter."""

from __future__ import annotations

import time

import pytest
from bench.memory_dynamo import MemoryDynamo
from bench.rank_reads import reads

from octospoon.adapters.dynamodb.pool.ranking import DynamoRankingPool
from octospoon.domain.batch import draw
from octospoon.domain.pool import keys


def in_shards(monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    monkeypatch.setattr(keys, "SHARDS", shards)
    monkeypatch.setattr(draw, "SHARDS", shards)


@pytest.mark.parametrize("shards", [1, 3, 64])
def test_first_n_are_the_same_for_any_number_of_shards(monkeypatch, shards):
    expected = DynamoRankingPool(MemoryDynamo(3000), "pool", time.time).top(400)
    in_shards(monkeypatch, shards)

    assert DynamoRankingPool(MemoryDynamo(3000), "pool", time.time).top(400) == expected


@pytest.mark.parametrize("shards", [4, 64])
def test_batch_is_the_same_when_the_pool_is_read_whole(monkeypatch, shards):
    _, expected = reads(MemoryDynamo(200), "pool", rounds=2)
    in_shards(monkeypatch, shards)
    _, picks = reads(MemoryDynamo(200), "pool", rounds=2)

    assert len(picks) == 100
    assert picks == expected


def test_retry_that_lost_its_choice_repeats_it():
    pool = MemoryDynamo(5000)

    assert reads(pool, "pool", rounds=1)[1] == reads(pool, "pool", rounds=1)[1]
