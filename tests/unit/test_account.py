"""The simulation of an account's queues, against cases that can be reckoned by hand."""

from __future__ import annotations

from collections import deque

import pytest
from bench.account import CHAIN, Account, ColdTable, Message, Queue
from bench.new_account import ORDINARY, Limits, deployed, rows, uploads


def queue(messages: int, **changes: object) -> Queue:
    given: dict[str, object] = {
        "name": "f",
        "batch": 1,
        "most": 5,
        "visibility": 100.0,
        "tries": 3,
        "step": lambda work, now: (10.0, 0.0),
        "waiting": deque(Message() for _ in range(messages)),
    }
    return Queue(**(given | changes))


def test_message_that_never_finds_room_becomes_a_dead_letter() -> None:
    full = queue(1)
    Account([full], concurrency=10, held=10).run()
    assert (full.done, full.dead) == (0, 1)
    assert full.throttled >= 3 * 5, "it was tried until each of three visibility timeouts was over"


def test_the_account_is_never_asked_for_more_than_it_has() -> None:
    account = Account([both := queue(50), other := queue(50)], concurrency=4, held=1)
    account.run()
    assert account.at_once == 3
    assert both.done + both.dead == other.done + other.dead == 50
    assert both.throttled


def test_queues_whose_limits_fit_are_never_throttled() -> None:
    queues = [queue(200, most=3), queue(200, most=5)]
    Account(queues, concurrency=10, held=2).run()
    assert [queue.throttled for queue in queues] == [0, 0]
    assert queues[1].ended == pytest.approx(200 / 5 * 10 + 199 / 5 * 0.05, abs=1)


@pytest.mark.parametrize(("may_loop", "processed"), [(False, 0), (True, 1)])
def test_lambda_stops_a_chain_after_sixteen_invocations(may_loop: bool, processed: int) -> None:
    runs: list[float] = []

    def step(work: float, now: float) -> tuple[float, float]:
        runs.append(now)
        return 1.0, work - 1

    looping = queue(0, step=step, may_loop=may_loop, waiting=deque([Message(40)]))
    Account([looping], concurrency=10).run()
    assert len(runs) == (40 if may_loop else CHAIN)
    assert (looping.done, looping.dead, looping.stopped) == (processed, 1 - processed, 1 - processed)


def test_new_table_takes_twice_as_much_every_half_hour() -> None:
    table = ColdTable()
    assert [table.at(60 * minutes) for minutes in (0, 29, 30, 60, 90, 120, 10_000)] == [
        *(4_000, 4_000, 8_000, 16_000, 32_000, 40_000, 40_000)
    ]


def test_new_account_loses_nothing_with_the_defaults() -> None:
    now = deployed()
    queues = [uploads(50_000, now), rows(100_000, now, cold=True)]
    Account(queues, concurrency=10, held=2).run()
    assert [(queue.dead, queue.throttled) for queue in queues] == [(0, 0), (0, 0)]


def test_large_pool_is_rescored_to_the_end_in_an_hour() -> None:
    now = deployed()
    pool = rows(30_000_000, Limits(500, 16, now.shards, now.tries, now.may_loop), ORDINARY, cold=False)
    Account([pool], ORDINARY).run()
    assert (pool.done, pool.dead) == (16, 0)
    assert pool.ended == pytest.approx(30_000_000 / 16 / 500, rel=0.02), "all shards at once"
