"""Compute what a new AWS account does with many uploads, answers and rows, for docs/explanation/scaling.md.

The numbers of queues and functions are read from the template. A test compares the document with the output
of

    python -m bench.new_account
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.account import Account, ColdTable, Message, Queue
from bench.scaling import EACH, FIXED, MOVED_UNITS, RESCORED_A_SECOND, SHARD_UNITS, SHARDS, duration

from octospoon.cli.deploy import sam_template
from octospoon.usecases.rescore import SLICE

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
NEW, ORDINARY = 10, 1000
"""Concurrent invocations that a new account allows, and an ordinary one."""
HELD = 2
"""Invocations that `rank`, `reconcile`, `watch`, `webhook` and `predict` use all the time, which is many."""
BUSY = 8
"""The same in an account that is nearly full."""
UPLOADS, ROWS = 5_000_000, 1_000_000
"""Uploads that come at once, and rows that are re-scored for a new champion meanwhile."""
COLLECTING = 2
"""Maximum concurrency of `collect`."""
ROW_UNITS = 2
"""Write units of a new row, without its index entries, which have capacity of their own."""
COUNTING = 0.1
"""Seconds for one annotation; more than tests on one machine measure."""


@dataclass(frozen=True)
class Limits:
    """The limits that a comparison changes.

    Attributes:
        score: maximum concurrency of `score`.
        rescore: maximum concurrency of `rescore`.
        shards: messages of `rescore` in an invocation.
        tries: maxReceiveCount.
        may_loop: whether `rescore` may start itself without end.
    """

    score: int
    rescore: int
    shards: int
    tries: int
    may_loop: bool


EARLIER = Limits(score=500, rescore=16, shards=4, tries=5, may_loop=False)
"""The template as it was before a new account was thought of."""


def deployed() -> Limits:
    """Return the limits of the template's defaults."""
    template = sam_template.read(TEMPLATE)
    parameters, resources = template["Parameters"], template["Resources"]
    return Limits(
        score=int(parameters["ScoreMaximumConcurrency"]["Default"]),
        rescore=int(parameters["RescoreMaximumConcurrency"]["Default"]),
        shards=int(_event(resources, "RescoreFunction")["BatchSize"]),
        tries=min(_tries(resources, f"{name}Queue") for name in ("Uploads", "Annotations", "Rescore")),
        may_loop=resources["RescoreFunction"]["Properties"].get("RecursiveLoop") == "Allow",
    )


def _event(resources: dict[str, Any], function: str) -> dict[str, Any]:
    events = resources[function]["Properties"]["Events"].values()
    (source,) = (event["Properties"] for event in events if event["Type"] == "SQS")
    return dict(source)


def _tries(resources: dict[str, Any], queue: str) -> int:
    return int(resources[queue]["Properties"]["RedrivePolicy"]["maxReceiveCount"])


def _queue(name: str, most: int, tries: int, step: Callable[[float, float], tuple[float, float]]) -> Queue:
    """Return a queue with the batch size and the timeout of the template."""
    resources = sam_template.read(TEMPLATE)["Resources"]
    queues = {"score": "Uploads", "collect": "Annotations", "rescore": "Rescore"}
    return Queue(
        name=name,
        batch=int(_event(resources, f"{name.capitalize()}Function")["BatchSize"]),
        most=most,
        visibility=float(resources[f"{queues[name]}Queue"]["Properties"]["VisibilityTimeout"]),
        tries=tries,
        step=step,
        fixed=FIXED,
    )


def uploads(count: int, limits: Limits, room: int = NEW) -> Queue:
    """Return the uploads queue with so many messages, all at once, in an account with room for so many."""
    table, at_work = ColdTable(), min(limits.score, room)

    def step(work: float, now: float) -> tuple[float, float]:
        return work * max(EACH, at_work * ROW_UNITS / table.at(now)), 0.0

    queue = _queue("score", limits.score, limits.tries, step)
    # batches are full while there are many messages: one message of the simulation is a whole batch
    queue.weight, queue.batch = queue.batch, 1
    queue.waiting = deque(Message(queue.weight) for _ in range(count // queue.weight))
    return queue


def answers(count: int, seconds: float, limits: Limits) -> Queue:
    """Return the annotations queue with so many messages, which come one by one."""
    queue = _queue("collect", COLLECTING, limits.tries, lambda work, _: (COUNTING * work, 0.0))
    queue.coming = [(seconds * number / count, Message()) for number in range(count)]
    return queue


def rows(count: int, limits: Limits, room: int = NEW, *, cold: bool) -> Queue:
    """Return the rescore queue with a message for each shard of a pool of so many rows."""
    table, at_work = ColdTable(), min(SHARDS, limits.rescore, room)

    def step(work: float, now: float) -> tuple[float, float]:
        units = table.at(now) if cold else table.quota
        rate = min(RESCORED_A_SECOND, SHARD_UNITS / MOVED_UNITS, units / MOVED_UNITS / at_work)
        seconds = min(SLICE, work / rate)
        remaining = work - rate * seconds
        return seconds, remaining if remaining > 1e-6 else 0.0

    queue = _queue("rescore", limits.rescore, limits.tries, step)
    queue.batch, queue.may_loop = limits.shards, limits.may_loop
    # the champion pointer's event was the first invocation of the chain
    queue.waiting = deque(Message(count / SHARDS, depth=1) for _ in range(SHARDS))
    return queue


def line(name: str, queues: list[Queue], concurrency: int, held: int = HELD) -> str:
    """Simulate queues side by side in one account; return a line of the table."""
    messages = sum((len(queue.waiting) + len(queue.coming)) * queue.weight for queue in queues)
    Account(queues, concurrency, held).run()
    dead = sum(queue.dead for queue in queues)
    assert sum(queue.done for queue in queues) + dead == messages, "a message is done, or a dead letter"
    throttled = sum(queue.throttled for queue in queues)
    took = {queue.name: duration(queue.ended / 3600) if queue.done else "never" for queue in queues}
    return f"| {name} | {throttled:,} | {dead:,} | {took.get('score', '–')} | {took['rescore']} |"


def table() -> str:
    """Return the table of the document, in Markdown."""
    now = deployed()
    raised = Limits(500, SHARDS, now.shards, now.tries, now.may_loop)
    lines = [
        "| limits and account | throttled calls | dead letters | uploads scored | rows re-scored |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, limits, concurrency, held in (
        ("limits without regard to a new account, 10 at once", EARLIER, NEW, HELD),
        ("**defaults, 10 at once**", now, NEW, HELD),
        (f"defaults, 10 at once, {BUSY} of them taken by other functions", now, NEW, BUSY),
        ("limits raised to 500 and 16, 1,000 at once", raised, ORDINARY, HELD),
    ):
        room = concurrency - held
        queues = [
            uploads(UPLOADS, limits, room),
            answers(1000, 3600, limits),
            rows(ROWS, limits, room, cold=True),
        ]
        lines.append(line(name, queues, concurrency, held))
    for name, limits, cold in (
        ("30,000,000 rows: Lambda stops the loop", EARLIER, False),
        ("30,000,000 rows: **defaults**", now, True),
        ("30,000,000 rows: 16 at once, a new table", raised, True),
        ("30,000,000 rows: 16 at once, a table that has grown", raised, False),
    ):
        lines.append(line(name, [rows(30 * 10**6, limits, ORDINARY, cold=cold)], ORDINARY))
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
