"""Simulate the queues and functions of one AWS account: throttling, dead letters, loops and cold tables.

The rules are AWS's. A poller receives a batch, which counts as a receive of each message. It calls the
function until the account has room, and gives the batch back when the visibility timeout is over (Lambda
Developer Guide, "Using Lambda with Amazon SQS"). A message that was received more often than
`maxReceiveCount` allows becomes a dead letter. Lambda stops a chain after 16 invocations of one function
("Use Lambda recursive loop detection"). A new on-demand table takes 4,000 write units a second, and twice its
peak after 30 minutes of it (DynamoDB Developer Guide, "On-demand capacity mode").

AWS does not say how long a poller waits between two calls. Here it waits one second, then each time twice as
long, up to a minute, at random by half.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHAIN = 16
"""Invocations of a function in one chain, after which Lambda stops the next."""
RECEIVING = 0.05
"""Seconds for deleting a batch and receiving the next."""
LONGEST_WAIT = 60.0
"""Longest wait of a poller between two calls of a throttled function, in seconds."""


@dataclass(slots=True)
class Message:
    """A message in a queue.

    Attributes:
        work: what is left to do, in a unit of the queue's own.
        depth: invocations of the same function in the chain before this message.
        receives: how often it was received.
    """

    work: float = 1.0
    depth: int = 0
    receives: int = 0


@dataclass(slots=True)
class Queue:
    """A queue and its function; all times in seconds.

    Attributes:
        name: of the function.
        batch: largest number of messages in an invocation.
        most: the event source's maximum concurrency.
        visibility: visibility timeout.
        tries: maxReceiveCount.
        step: works on a message; returns the seconds, and the work that is left for a continuation.
        fixed: seconds of each invocation.
        weight: messages that one message of the simulation stands for.
        may_loop: whether Lambda lets the function start itself without end.
        pollers: number of pollers at the start.
        ramp: pollers added per minute.
        coming: when other messages come, and these.
        waiting: the visible messages.
        done: messages that came to their end.
        dead: dead letters.
        stopped: of these, the messages whose chain Lambda stopped.
        throttled: calls that found no room.
        ended: when the last message came to its end.
    """

    name: str
    batch: int
    most: int
    visibility: float
    tries: int
    step: Callable[[float, float], tuple[float, float]]
    fixed: float = 0.0
    weight: int = 1
    may_loop: bool = False
    pollers: int = 5
    ramp: float = 300.0
    coming: list[tuple[float, Message]] = field(default_factory=list)
    waiting: deque[Message] = field(default_factory=deque)
    done: int = 0
    dead: int = 0
    stopped: int = 0
    throttled: int = 0
    ended: float = 0.0
    idle: int = 0

    def pollers_start(self) -> Iterable[float]:
        """Return when each poller starts."""
        return (60 * max(0, n + 1 - self.pollers) / self.ramp for n in range(self.most))


@dataclass(frozen=True, slots=True)
class ColdTable:
    """What a new on-demand table and its indexes take, while the load asks for all of it.

    Attributes:
        units: write units a second at the start.
        every: seconds after which they double.
        quota: a table's default quota of write units a second.
    """

    units: float = 4_000.0
    every: float = 1_800.0
    quota: float = 40_000.0

    def at(self, seconds: float) -> float:
        """Return the write units a second, some time after the load began."""
        return min(self.quota, self.units * 2.0 ** min(16, int(seconds / self.every)))


class Account:
    """An account with queues and functions.

    Args:
        queues: with their first messages.
        concurrency: invocations that the account allows at once.
        held: invocations that other functions always use.
        seed: of the random waits.
    """

    def __init__(self, queues: Iterable[Queue], concurrency: int, held: int = 0, seed: int = 0) -> None:
        self._queues = list(queues)
        self._room = concurrency - held
        self._running = 0
        self._random = np.random.default_rng(seed)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = itertools.count()
        self.at_once = 0

    def run(self, until: float = 14 * 86_400.0) -> None:
        """Simulate until every message is done or dead, or until messages would expire."""
        for queue in self._queues:
            for start in queue.pollers_start():
                self._at(start, partial(self._poll, queue))
            for arrival, message in queue.coming:
                self._at(arrival, partial(self._send, queue, [message]))
        while self._events and self._events[0][0] <= until:
            now, _, event = heapq.heappop(self._events)
            event(now)

    def _at(self, when: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._number), event))

    def _poll(self, queue: Queue, now: float) -> None:
        batch: list[Message] = []
        while queue.waiting and len(batch) < queue.batch:
            message = queue.waiting.popleft()
            message.receives += 1
            if message.receives > queue.tries:
                queue.dead += queue.weight
            else:
                batch.append(message)
        if batch:
            self._call(queue, batch, now + queue.visibility, 1.0, now)
        else:
            queue.idle += 1

    def _call(self, queue: Queue, batch: list[Message], hidden_until: float, wait: float, now: float) -> None:
        if self._running < self._room:
            self._invoke(queue, batch, now)
            return
        queue.throttled += 1
        again = now + wait * self._random.uniform(0.5, 1.5)
        if again >= hidden_until:
            self._at(hidden_until, partial(self._give_back, queue, batch))
        else:
            self._at(again, partial(self._call, queue, batch, hidden_until, min(2 * wait, LONGEST_WAIT)))

    def _give_back(self, queue: Queue, batch: list[Message], now: float) -> None:
        self._send(queue, batch, now)
        self._at(now + RECEIVING, partial(self._poll, queue))

    def _send(self, queue: Queue, messages: Iterable[Message], now: float) -> None:
        queue.waiting.extend(messages)
        for _ in range(min(queue.idle, len(queue.waiting))):
            queue.idle -= 1
            self._at(now + RECEIVING, partial(self._poll, queue))

    def _invoke(self, queue: Queue, batch: list[Message], now: float) -> None:
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        end, remaining = now + queue.fixed, []
        for message in batch:
            seconds, rest = queue.step(message.work, end)
            end += seconds
            if rest:
                remaining.append(Message(rest, message.depth + 1))
        self._at(end, partial(self._finish, queue, len(batch) - len(remaining), remaining))

    def _finish(self, queue: Queue, done: int, left: list[Message], now: float) -> None:
        self._running -= 1
        queue.done += done * queue.weight
        queue.ended = now
        goes_on = [message for message in left if queue.may_loop or message.depth < CHAIN]
        stopped = (len(left) - len(goes_on)) * queue.weight
        queue.stopped += stopped
        queue.dead += stopped
        self._send(queue, goes_on, now)
        self._at(now + RECEIVING, partial(self._poll, queue))
