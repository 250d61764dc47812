"""Have images read again whose new score no stored embedding gives: those of a new detector or backbone.

Each shard of the pool has a chain of messages. A message queues a window of the shard's images as uploads,
the newest first, and the next message waits until they have the new model's scores. A window grows if its
images are scored within PAUSE seconds, and shrinks if they are not. So a new upload never waits long behind
these images, however many there are and however slow the model is.

Images that wait for an answer are read too, so that annotators see the new model's boxes. Every step may be
repeated. An image that has the new score is not queued. The bound counts images of any
model, so that a second run of the same model reads no more of them. The newest run alone goes on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from octospoon.domain.pool.keys import SHARDS
from octospoon.ports.models import ShardReading
from octospoon.usecases.champion import MAX_AGE
from octospoon.usecases.rescore_segment import (
    EVERY,
    Reading,
    Segment,
    check_age,
    decode_reading,
    encode,
    next_window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import ImageRef, UnlabelledImage
    from octospoon.ports.clock import Clock
    from octospoon.ports.images import Uploads
    from octospoon.ports.models import ReadingProgress
    from octospoon.ports.pool import RescoringPool
    from octospoon.usecases.rescore_walk import NewestFirst

LOG = logging.getLogger(__name__)
FIRST = MAX_AGE + 2.0
"""Seconds before the first window: a scorer may trust the older pointer until then, and skip the images."""
PAUSE = 10.0
"""Seconds in which a window's images should be scored."""
WAITS = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0)
"""Seconds before each further look. A long queue of new uploads delays all; after these, the walk goes on."""
AGAIN = 4
"""The look at which images are queued once more, in case an old scorer took them."""
LEAST, MOST = 1, 500
"""Bounds of a window. SQS takes 500 messages in some two seconds."""
BUSY = 100.0
"""Seconds after which a message that works no more may be repeated; the function may take 90."""
SLICE = 20.0
"""Seconds after which a message gives way to those of the other shards."""
_SHORTEST = 2.0
_LEFT = (
    "%d images of shard %d were not scored again in time: `octospoon dlq list` shows those that failed, and "
    "`octospoon rescore --full` reads the others"
)


class Step(NamedTuple):
    """The result of a message.

    Attributes:
        queued: images that it queued.
        shard: the shard if it is done; None if not.
        left: images of this shard that did not get the new model's score in time.
    """

    queued: int = 0
    shard: Segment | None = None
    left: int = 0


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """The use case.

    Attributes:
        pool: the images.
        walk: the order in which they are read.
        uploads: the queue from which `score` takes images.
        progress: what is done; it lets the newest run alone go on.
        enqueue: sends one more message to this use case, after some seconds.
        clock: the time.
        images: how many of the pool's newest images are covered after a promotion; 0 for none.
    """

    pool: RescoringPool
    walk: NewestFirst
    uploads: Uploads
    progress: ReadingProgress
    enqueue: Callable[[str, float], None]
    clock: Clock
    images: int

    def begin(self, pointer: ChampionPointer, images: int) -> int:
        """Begin a run for a champion; return its number, 0 if there is nothing to do.

        Args:
            pointer: of the champion.
            images: how many of the newest images it covers; EVERY for all, 0 for none.
        """
        return self.progress.begin(pointer.generation, pointer.version, images) if images else 0

    def start(self, segment: Segment) -> None:
        """Queue the first message of a shard; this may be done twice."""
        at = Segment(segment.generation, segment.shard, segment.first_day, since=self.clock.now())
        self.enqueue(encode(Reading(segment.run, at, segment.images)), FIRST)

    def skip(self, segment: Segment) -> None:
        """Record that no image of a shard must be read."""
        if segment.run:
            self.progress.done(ShardReading(segment.run, segment.shard))

    def step(self, body: str, pointer: ChampionPointer, deadline: float) -> Step:
        """Queue the next images of a shard, or see whether those that were queued have new scores.

        Args:
            body: the message.
            pointer: of the champion.
            deadline: epoch seconds at which the rest must be left to a new message.

        Raises:
            BadRequest: it is not a message of `rescore`.
            NoProgress: the shard's messages get nowhere, or take too long; no further message is queued.
        """
        reading, now = decode_reading(body), self.clock.now()
        at = reading.at
        if at.generation != pointer.generation:
            LOG.info("generation %d is outdated: version %d is in service", at.generation, pointer.version)
            return Step()
        check_age(reading, now)
        if not self.progress.takes(_progress(reading), reading.step, now, now - BUSY):
            LOG.info("another message reads shard %d, or a newer run does", at.shard)
            return Step()
        until = min(deadline, now + SLICE)
        while True:
            left: Sequence[ImageRef] = ()
            if reading.queued:
                left = self._outdated(self._in_window(reading), pointer)
                if left and reading.waits < len(WAITS):
                    return self._wait(reading, left)
            else:
                reading, images = self._window(reading, until)
                if outdated := self._outdated(images, pointer):
                    return self._queue(reading, outdated)
            if reading.ends:
                return self._finish(reading, len(left))
            reading = next_window(reading, _size(reading), len(left))
            if self.clock.now() > until:
                self._later(reading, 0.0)
                return Step()

    def _window(self, reading: Reading, until: float) -> tuple[Reading, list[UnlabelledImage]]:
        """Return the message with its window, and the images in it."""
        begin = reading.at
        images: list[UnlabelledImage] = []
        if not begin.walked:  # the first look of `NewestFirst` would miss the images that wait for an answer
            begin = self.walk.newest(begin)
        at: Segment | None = begin
        while at is not None and len(images) < reading.room:
            page = self.walk.page_at(at).first(at, reading.room - len(images))
            images += self.pool.unlabelled_images(page.keys)
            at = page.following
            # the index would bring the images of the days once more, whose scores are to come
            if self.clock.now() > until or (at and at.place[0] > begin.place[0]):
                break
        return msgspec.structs.replace(reading, at=begin, to=at, count=len(images)), images

    def _in_window(self, reading: Reading) -> list[UnlabelledImage]:
        images: list[UnlabelledImage] = []
        following: Segment | None = reading.at
        while following is not None and (reading.to is None or following.place < reading.to.place):
            at = following
            page = self.walk.page_at(at)
            images += self.pool.unlabelled_images([key for key in page.keys if reading.covers(at, key)])
            following = page.following
        return images

    @staticmethod
    def _outdated(images: Sequence[UnlabelledImage], pointer: ChampionPointer) -> list[ImageRef]:
        return [known.image for known in images if known.outdated(pointer.backbone, pointer.reads_since)]

    def _queue(self, reading: Reading, images: Sequence[ImageRef]) -> Step:
        self.uploads.send_all(images)
        seconds = max(_SHORTEST, PAUSE * len(images) / reading.window)
        self._later(msgspec.structs.replace(reading, queued=True), seconds)
        return Step(len(images))

    def _wait(self, reading: Reading, left: Sequence[ImageRef]) -> Step:
        again = left if reading.waits == AGAIN else ()
        if again:
            self.uploads.send_all(again)
        self._later(msgspec.structs.replace(reading, waits=reading.waits + 1), WAITS[reading.waits])
        return Step(len(again))

    def _later(self, reading: Reading, seconds: float) -> None:
        self.enqueue(encode(msgspec.structs.replace(reading, step=reading.step + 1)), seconds)

    def _finish(self, reading: Reading, left: int) -> Step:
        seen, missing = reading.seen + reading.count, reading.left + left
        self.progress.done(ShardReading(reading.reading, reading.at.shard, seen, missing))
        LOG.info("shard %d: %d images are of the model in service", reading.at.shard, seen - missing)
        if missing:
            LOG.warning(_LEFT, missing, reading.at.shard)
        return Step(0, reading.at, missing)


def share(images: int, shard: int) -> int:
    """Return a shard's part of the number of images that a run covers; EVERY for all."""
    return EVERY if images == EVERY else (images + SHARDS - 1 - shard) // SHARDS


def _progress(reading: Reading) -> ShardReading:
    return ShardReading(reading.reading, reading.at.shard, reading.seen, reading.left)


def _size(reading: Reading) -> int:
    """Return the size of the next window: larger if this one was scored in time, smaller if it was late."""
    if not reading.queued or reading.waits == 1:
        return reading.window
    return min(MOST, 2 * reading.window) if not reading.waits else max(LEAST, reading.window // 2)
