"""The in-memory table of bench/ returns what the emulator returns, at the same cost."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from bench.memory_dynamo import MemoryDynamo
from bench.rank_reads import reads

from contract.conftest import copy_table

if TYPE_CHECKING:
    from octospoon.cli.local.assemble import LocalStack

ROWS = int(os.environ.get("OCTOSPOON_TEST_ROWS", "10000"))
_AT_ONCE = 25


@pytest.mark.stack
def test_a_choice_reads_and_costs_the_same_on_the_emulator(stack: LocalStack) -> None:
    client, memory = stack.deployment.client("dynamodb"), MemoryDynamo(ROWS)
    table = copy_table(client, stack.project.outputs["PoolTable"])
    requests = [{"PutRequest": {"Item": item}} for item in memory.items()]
    batches = [requests[start : start + _AT_ONCE] for start in range(0, len(requests), _AT_ONCE)]
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda batch: client.batch_write_item(RequestItems={table: batch}), batches)
        assert not any(answer["UnprocessedItems"] for answer in answers)

    real, picks = reads(client, table, rounds=1)
    ours, same = reads(memory, table, rounds=1)

    print(f"{ROWS} rows, emulator: {real}; in memory: {ours}")
    assert same == picks
    assert (ours["requests"], ours["items"]) == (real["requests"], real["items"])
    assert ours["units"] == pytest.approx(real["units"], rel=0.05)


def test_reads_do_not_grow_with_the_pool() -> None:
    small, large = (reads(MemoryDynamo(size), "pool", rounds=3)[0] for size in (10_000, 100_000))

    assert large["items"] <= 1.2 * small["items"]
    assert large["units"] <= 1.2 * small["units"]
    assert large["requests"] <= 1.2 * small["requests"]
