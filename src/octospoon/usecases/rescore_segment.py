"""The messages of `rescore`, and the bounds of the chain in which each message queues the next.

Lambda would stop such a chain after about 16 invocations. The template allows it (ADR 27), so the chain has
bounds of its own: each message must begin at a later place than the one before, a newer champion ends the
chain, and so does its age.
"""

from __future__ import annotations

from datetime import date

import msgspec

from octospoon.domain.errors import BadRequest, NoProgress
from octospoon.domain.pool.keys import sampling_key

EVERY = -1
"""Stands for all images."""
LONGEST = 7 * 86_400.0
"""Seconds after which a chain of messages ends, whatever is left."""
_STOPPED = "re-scoring shard %d stopped: %s. `octospoon rescore` begins again"
_READING_STOPPED = "reading shard %d again stopped: %s. `octospoon rescore --full --yes` begins again"


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
        run: number of the run that reads images afterwards, see `ReadAgain`; 0 for none.
        images: how many of the shard's newest images that run covers; EVERY for all.
        first_day: the first day of the uploads that that run covers, in UTC; empty for all.
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
    run: int = 0
    images: int = 0
    first_day: str = ""

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


def encode(message: Segment | Reading) -> str:
    """Return the text of a message."""
    return msgspec.json.encode(message).decode()


def reordering(segment: Segment, order: str, now: float) -> Segment:
    """Return the beginning of the walk that brings a shard into another order; its chain stays the same."""
    return msgspec.structs.replace(
        segment, oldest="", walked=False, day="", empty=0, start=-1.0, stale=0, order=order, began=now
    )


def check_age(message: Segment | Reading, now: float) -> None:
    """Raise NoProgress if the chain of a message lasts too long. `now` is in epoch seconds."""
    at, text = (message, _STOPPED) if isinstance(message, Segment) else (message.at, _READING_STOPPED)
    if at.since and now > at.since + LONGEST:
        raise NoProgress(text % (at.shard, f"it took more than {LONGEST / 86_400:g} days"))


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


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """The images of a shard that are read again, and the progress. `ReadAgain` works on such messages.

    Attributes:
        reading: number of the run.
        at: where the window begins.
        images: how many of the shard's newest images are covered; EVERY for all.
        step: number of the message in its chain.
        window: largest number of images that are queued and waited for together.
        queued: whether the window's images have been queued.
        to: where the window ends; None for the end of the shard.
        count: images of the window, of any model.
        waits: how often the window was looked at in vain.
        seen: images before the window, of any model.
        left: those of them that did not get the new model's score in time.
    """

    reading: int
    at: Segment
    images: int
    step: int = 0
    window: int = 10
    queued: bool = False
    to: Segment | None = None
    count: int = 0
    waits: int = 0
    seen: int = 0
    left: int = 0

    @property
    def room(self) -> int:
        """The number of images that the next window may have."""
        return self.window if self.images == EVERY else max(0, min(self.window, self.images - self.seen))

    @property
    def ends(self) -> bool:
        """Whether the window is the last one of its shard."""
        return self.to is None or (self.images != EVERY and self.seen + self.count >= self.images)

    def covers(self, at: Segment, key: str) -> bool:
        """Return whether an image of the page that begins at a place is in the window."""
        return self.to is None or (*at.place[:2], sampling_key(key)) <= self.to.place


def decode_reading(body: str) -> Reading:
    """Read a message; raises BadRequest."""
    try:
        return msgspec.json.decode(body, type=Reading)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"not a message of the rescore function: {error}") from error


def next_window(reading: Reading, window: int, left: int) -> Reading:
    """Return the message for the window that follows.

    Args:
        reading: the window that is done.
        window: size of the next one.
        left: images of this window that did not get the new model's score.

    Raises:
        NoProgress: it begins no later than this one did.
    """
    at, to = reading.at, reading.to
    if to is None or to.place <= at.place:
        raise NoProgress(_READING_STOPPED % (at.shard, f"it made no progress at {at.place}"))
    # the index at the end brings all images again that are left, and they are counted there
    before = 0 if to.place[0] > at.place[0] else reading.left + left
    return Reading(
        reading.reading,
        msgspec.structs.replace(to, since=at.since),
        reading.images,
        reading.step,
        window,
        seen=reading.seen + reading.count,
        left=before,
    )
