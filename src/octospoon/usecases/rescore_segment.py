"""The messages of `rescore`, and the bounds of the chain in which each message queues the next.

Lambda would stop such a chain after about 16 invocations. The template allows it (ADR 27), so the chain has
bounds of its own: each message must begin at a later place than the one before, a newer champion ends the
chain, and so does its age.
"""

from __future__ import annotations

from datetime import date

import msgspec

from octospoon.domain.errors import BadRequest, NoProgress

LONGEST = 7 * 86_400.0
"""Seconds after which a chain of messages ends, whatever is left."""
_STOPPED = "re-scoring shard %d stopped: %s. `octospoon rescore` begins again"


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A shard of the pool to refresh for one pointer generation, and the progress.

    Attributes:
        generation: see `ChampionPointer`.
        shard: of the pool.
        oldest: the first day of the uploads that are refreshed, in UTC; empty for all.
        walked: whether the walk over the days has begun.
        day: the day in progress; empty before the first and after the last.
        empty: days without an upload since the last day that had one.
        start: the last sampling key that is done, of the day or of the index.
        stale: rows so far whose embedding another backbone made.
        order: the order that the priorities are brought into; empty if they are in it already.
        began: when the reordering began, in epoch seconds; rows written since are in the new order.
        since: when the chain of messages began, in epoch seconds; 0 in its first message.
    """

    generation: int
    shard: int
    oldest: str = ""
    walked: bool = False
    day: str = ""
    empty: int = 0
    start: float = -1.0
    stale: int = 0
    order: str = ""
    began: float = 0.0
    since: float = 0.0

    @property
    def place(self) -> tuple[int, int, float]:
        """The position of the walk: the first look, the days from the newest back, then the whole index."""
        if not self.walked:
            return 0, 0, self.start
        if self.day:
            return 1, -date.fromisoformat(self.day).toordinal(), self.start
        return 2, 0, self.start


def decode(body: str) -> Segment:
    """Read a message; raises BadRequest."""
    try:
        return msgspec.json.decode(body, type=Segment)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"not a message of the rescore function: {error}") from error


def encode(segment: Segment) -> str:
    """Return the message for a segment."""
    return msgspec.json.encode(segment).decode()


def reordering(segment: Segment, order: str, now: float) -> Segment:
    """Return the beginning of the walk that brings a shard into another order; its chain stays the same."""
    return Segment(segment.generation, segment.shard, order=order, began=now, since=segment.since)


def check_age(segment: Segment, now: float) -> None:
    """Raise NoProgress if the chain of a message lasts too long. `now` is in epoch seconds."""
    if segment.since and now > segment.since + LONGEST:
        raise NoProgress(_STOPPED % (segment.shard, f"it took more than {LONGEST / 86_400:g} days"))


def continuation(done: Segment, rest: Segment, stale: int, now: float) -> Segment:
    """Return the segment to queue for the rest.

    Args:
        done: the segment that was worked on.
        rest: what is left of it.
        stale: rows so far whose embedding another backbone made.
        now: epoch seconds.

    Raises:
        NoProgress: the rest begins no later than the segment did.
    """
    if rest.place <= done.place:
        raise NoProgress(_STOPPED % (done.shard, f"it made no progress at {done.place}"))
    return msgspec.structs.replace(rest, stale=stale, since=done.since or now)
