from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from octospoon.usecases.byte_budget import ByteBudget


def test_what_does_not_fit_waits_until_something_is_released() -> None:
    budget, entered = ByteBudget(10), threading.Event()
    first = budget.reserve(6)

    def second() -> None:
        budget.reserve(5)
        entered.set()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(second)
        assert not entered.wait(0.05)
        first.release()
        waiting.result()
    assert entered.is_set()


def test_what_is_over_the_limit_passes_alone() -> None:
    ByteBudget(10).reserve(1000).release()


def test_a_lease_holds_what_the_thing_really_takes_and_is_released_once() -> None:
    budget = ByteBudget(10)
    lease = budget.reserve(10)
    lease.resize(4)
    other = budget.reserve(6)
    lease.release()
    lease.release()
    other.release()

    assert budget.reserve(10)
