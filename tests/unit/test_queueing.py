"""The simulation of a queue before a function, against cases that can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest
from bench.queueing import Function, simulate


def test_one_message_waits_for_the_window_and_a_cold_start() -> None:
    run = simulate(np.array([10.0]), Function(batch=10, window=1, fixed=0.5, each=0.2, cold=3))
    assert run.done == pytest.approx([14.7])
    assert (run.invocations, run.cold_starts, run.at_once) == (1, 1, 1)
    assert run.busy == pytest.approx(3.7)


def test_a_full_batch_waits_for_nothing() -> None:
    run = simulate(np.zeros(10), Function(batch=10, window=5, fixed=0.5, each=0.1))
    assert run.done == pytest.approx(0.5 + 0.1 * np.arange(1, 11))


def test_one_poller_works_through_a_burst_batch_by_batch() -> None:
    function = Function(batch=10, window=1, fixed=0.5, each=0.1, pause=0.2, limit=1, cold=1)
    run = simulate(np.zeros(30), function)
    assert run.drained == pytest.approx(1 + 3 * 1.5 + 2 * 0.2)
    assert (run.invocations, run.cold_starts, run.batch) == (3, 1, 10)


def test_messages_that_come_within_the_window_share_an_invocation() -> None:
    run = simulate(np.array([0.0, 0.4, 0.9, 1.1]), Function(batch=10, window=1, fixed=0.1, each=0.0))
    assert run.done == pytest.approx([1.1, 1.1, 1.1, 2.2])


def test_pollers_work_side_by_side_and_more_come_with_time() -> None:
    function = Function(batch=1, window=0, fixed=60, each=0, pollers=5, ramp=300, limit=8)
    run = simulate(np.zeros(8), function)
    assert run.done == pytest.approx([60.0] * 5 + [60.2, 60.4, 60.6])
    assert run.at_once == 8


def test_the_limit_holds_whatever_the_backlog() -> None:
    run = simulate(np.zeros(1000), Function(batch=10, window=0, fixed=1, each=0, limit=2, ramp=1e9))
    assert run.at_once == 2
    assert run.drained == pytest.approx(50)


def test_an_environment_that_waited_too_long_is_cold_again() -> None:
    function = Function(batch=1, window=0, fixed=1, each=0, cold=2, keep=100, limit=1)
    assert simulate(np.array([0.0, 50.0, 120.0]), function).cold_starts == 1
    assert simulate(np.array([0.0, 50.0, 152.1]), function).cold_starts == 2


def test_messages_cost_more_while_their_sender_shares_the_machine() -> None:
    function = Function(batch=2, window=0, fixed=0, each=1, each_busy=3, pause=1, pause_busy=2, limit=1)
    run = simulate(np.array([0.0, 0.0, 7.0, 7.0, 7.0]), function)
    assert run.done == pytest.approx([3, 6, 9, 10, 12])


def test_a_steady_stream_is_served_as_little_says() -> None:
    """Little's law: messages in the system are their rate times the time each spends in it."""
    generator = np.random.default_rng(0)
    arrivals = np.cumsum(generator.exponential(1 / 50, 20_000))
    run = simulate(arrivals, Function(batch=10, window=0.5, fixed=0.1, each=0.02, limit=100))
    moments = np.linspace(arrivals[5000], arrivals[-1], 4000)
    inside = np.searchsorted(arrivals, moments) - np.searchsorted(np.sort(run.done), moments)
    assert inside.mean() == pytest.approx(50 * run.latencies[5000:].mean(), rel=0.05)
