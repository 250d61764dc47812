"""Simulate a queue in front of a function, message by message: batches, pollers, concurrency, cold starts.

The rules are those of Lambda's event source mapping for a standard SQS queue (AWS Lambda Developer Guide,
"Using Lambda with Amazon SQS": batching windows, scaling behaviour, maximum concurrency), first come, first
served. LocalStack follows the same rules, with one poller that pauses between two polls. The simulation never
removes pollers as AWS does: idle pollers cost nothing and react at once, which favours the function.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Function:
    """The parameters of a function and its queue; all times in seconds.

    Attributes:
        batch: largest number of messages in an invocation.
        window: time that a poller waits for a batch to fill, from its first message on.
        fixed: fixed time of each invocation.
        each: additional time of each message.
        each_busy: the same while messages are still being sent, if sender and function share a machine.
        cold: start time of a new environment.
        pause: time between two polls of a poller.
        pause_busy: the same while messages are still being sent.
        pollers: number of pollers at the start; each runs one invocation at a time.
        ramp: pollers added per minute.
        limit: largest number of pollers, and so of concurrent invocations.
        keep: time that an idle environment stays warm.
    """

    batch: int
    window: float
    fixed: float
    each: float
    each_busy: float | None = None
    cold: float = 0.0
    pause: float = 0.0
    pause_busy: float | None = None
    pollers: int = 5
    ramp: float = 300.0
    limit: int = 1000
    keep: float = 300.0


@dataclass(slots=True)
class Run:
    """The result of a simulation or a measurement.

    Attributes:
        arrivals: float64 [N], seconds, ascending.
        done: float64 [N], the time at which each message was processed.
        invocations: number of invocations.
        cold_starts: number of invocations in a new environment.
        busy: total seconds of all invocations, including cold starts.
        at_once: largest number of concurrent invocations.
    """

    arrivals: Seconds
    done: Seconds
    invocations: int = 0
    cold_starts: int = 0
    busy: float = 0.0
    at_once: int = 0

    @property
    def latencies(self) -> Seconds:
        """Seconds from arrival to done, float64 [N]."""
        return self.done - self.arrivals

    @property
    def drained(self) -> float:
        """Seconds from the last arrival until everything is done."""
        return float(self.done.max() - self.arrivals[-1])

    @property
    def batch(self) -> float:
        """Mean number of messages in an invocation."""
        return len(self.arrivals) / self.invocations


@dataclass(slots=True)
class _Environments:
    """The function's execution environments, warm and working."""

    keep: float
    warm: list[float] = field(default_factory=list)
    """The time since which each idle environment is free, ascending."""
    working: list[float] = field(default_factory=list)
    """The time at which each working environment becomes free, as a heap."""

    def take(self, now: float) -> bool:
        """Start work in an environment; return True if it is new."""
        while self.working and self.working[0] <= now:
            self.warm.append(heapq.heappop(self.working))
        self.warm = [free for free in self.warm if now - free <= self.keep]
        if not self.warm:
            return True
        self.warm.pop()  # the one used last: the others may go cold
        return False


def simulate(arrivals: Seconds, function: Function) -> Run:
    """Simulate messages that arrive at the given times.

    Args:
        arrivals: float64 [N], seconds, ascending, N >= 1.
        function: the parameters of the function.
    """
    run = Run(arrivals, np.empty(len(arrivals)))
    environments = _Environments(function.keep)
    pollers = _pollers(float(arrivals[0]), function)
    free = [next(pollers)]
    coming = next(pollers, None)
    position, sending = 0, _while_sending(function)
    while position < len(arrivals):
        while coming is not None and coming <= free[0]:
            heapq.heappush(free, coming)
            coming = next(pollers, None)
        start, stop = _batch(arrivals, position, heapq.heappop(free), function)
        now = sending if start < arrivals[-1] else function
        took = _invoke(run, slice(position, stop), start, now, environments)
        heapq.heappush(free, start + took + now.pause)
        position = stop
    return run


def _while_sending(function: Function) -> Function:
    """Return the parameters that apply while messages are still being sent."""
    per_message, pause = function.each_busy, function.pause_busy
    return replace(
        function,
        each=function.each if per_message is None else per_message,
        pause=function.pause if pause is None else pause,
    )


def _pollers(begin: float, function: Function) -> Iterator[float]:
    """Yield the start time of each poller, in order."""
    for number in range(function.limit):
        later = max(0, number + 1 - function.pollers)
        yield begin + 60 * later / function.ramp


def _batch(arrivals: Seconds, position: int, now: float, function: Function) -> tuple[float, int]:
    """Return the start of a poller's next invocation, and the first message after its batch."""
    first = max(now, float(arrivals[position]))
    full = position + function.batch
    if full <= len(arrivals) and arrivals[full - 1] <= first + function.window:
        return max(first, float(arrivals[full - 1])), full
    start = first + function.window
    return start, int(np.searchsorted(arrivals, start, "right"))


def _invoke(
    run: Run, messages: slice, start: float, function: Function, environments: _Environments
) -> float:
    count = messages.stop - messages.start
    new = environments.take(start)
    ready = start + function.fixed + (function.cold if new else 0.0)
    run.done[messages] = ready + function.each * np.arange(1, count + 1)
    took: float = ready - start + function.each * count
    heapq.heappush(environments.working, start + took)
    run.invocations += 1
    run.cold_starts += new
    run.busy += took
    run.at_once = max(run.at_once, len(environments.working))
    return took
