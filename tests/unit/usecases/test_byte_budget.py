from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from octospoon.usecases.byte_budget import ByteBudget

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def waiting(budget: ByteBudget, size: int) -> Iterator[None]:
    """Check that another reservation waits when the block begins, and passes when the block has ended."""
    entered = threading.Event()

    def reserve() -> None:
        budget.reserve(size)
        entered.set()

    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(reserve)
        try:
            assert not entered.wait(0.05)
        finally:
            yield
            other.result(timeout=10)
    assert entered.is_set()


def test_a_reservation_waits_until_enough_is_released() -> None:
    budget = ByteBudget(10)
    first = budget.reserve(6)

    with waiting(budget, 5):
        first.release()


def test_a_reservation_over_the_limit_passes_alone() -> None:
    budget = ByteBudget(10)
    over = budget.reserve(1000)

    with waiting(budget, 1):
        over.release()


def test_a_lease_is_resized_and_released_once() -> None:
    budget = ByteBudget(10)
    lease = budget.reserve(10)
    lease.resize(4)
    other = budget.reserve(6)
    lease.release()
    lease.release()
    other.release()

    whole = budget.reserve(10)
    with waiting(budget, 1):
        whole.release()
