"""Refresh the scores of the selectable images when the champion changes, from stored embeddings.

Each shard of the pool has one message. It refreshes the shard's uploads day by day, the newest first.
Then it refreshes the rows that are still outdated by the index: images of other days, and images that a
scorer with the old champion wrote in the meantime. After SLICE seconds it continues in a new message, so that
all shards progress equally; `rescore_segment` has the bounds of such a chain. The same messages reorder the
priorities if a new strategy needs another order. Where a score cannot come from an embedding, `ReadAgain`
has the images read.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import numpy as np

from octospoon.domain.errors import OctospoonError
from octospoon.domain.pool.images import Prediction, State
from octospoon.domain.pool.keys import SHARDS, day, day_before
from octospoon.usecases.read_again import share
from octospoon.usecases.rescore_segment import (
    EVERY,
    Segment,
    check_age,
    continuation,
    decode,
    encode,
    reordering,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow
    from octospoon.ports.clock import Clock
    from octospoon.ports.models import Rescoring
    from octospoon.ports.pool import RescoringPool
    from octospoon.usecases.read_again import ReadAgain
    from octospoon.usecases.rescore_walk import NewestFirst, Page

LOG = logging.getLogger(__name__)
SILENT = 2 * 3600.0
"""Seconds after which a message that reorders a shard counts as lost; its tries take an hour and a half."""
SLICE = 20.0
"""Seconds after which a message gives way to those of the other shards."""
_OUTDATED = "pointer generation %d is outdated: version %d is in service now"
_STALE_BACKBONE = (
    "%d rows of shard %d have another backbone's embeddings: `octospoon rescore --full` scores their images "
    "again"
)

_NO_BOXES = (
    "the images keep the boxes of earlier models: `octospoon rescore --full` says what reading them again "
    "costs, and does it"
)


class Head(Protocol):
    """The part of a model that converts embeddings into probabilities."""

    def run(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D]."""


class Passed(NamedTuple):
    """The result of refreshing rows.

    Attributes:
        written: rows with new scores.
        stale: rows that cannot be refreshed, because another backbone made their embedding.
    """

    written: int
    stale: int


@dataclass(frozen=True, slots=True)
class RescorePool:
    """The use case.

    Attributes:
        pool: whose scores are refreshed.
        walk: the order in which the pool is gone through.
        reader: has images read again that need it.
        progress: what is done, for people and for tests.
        model: gives the champion that predicts now, and its head (None for a cold-start model or a detector).
        enqueue: sends one more message to this use case.
        clock: the time.
        order: the stored score that the pool's priorities are to be.
        days: whose uploads a new champion refreshes, today included; 0 for all.
        workers: pages of rows read, predicted and written at once.
        request_batch: requests a new batch when the pool has the champion's scores; None if only the schedule
            does.
    """

    pool: RescoringPool
    walk: NewestFirst
    reader: ReadAgain
    progress: Rescoring
    model: Callable[[], tuple[ChampionPointer, Head | None]]
    enqueue: Callable[[str], None]
    clock: Clock
    order: str
    days: int = 0
    workers: int = 4
    request_batch: Callable[[], None] | None = None

    def champion_changed(self, days: int | None = None, images: int | None = None) -> int:
        """Fan out: queue one message per shard; return how many.

        Args:
            days: days of uploads to refresh, including today; 0 for all, None for the usual number.
            images: how many of the newest images are read again if they must be; EVERY for all, 0 for none,
                None for the usual number. A cold-start model has them read only on request.
        """
        pointer, _ = self.model()
        many, today = self.days if days is None else days, day(self.clock.now())
        oldest = day_before(today, many - 1) if many else ""
        covered = (self.reader.images if pointer.predicts else 0) if images is None else images
        run = self.reader.begin(pointer, covered)
        if pointer.predicts:
            self.progress.begin(pointer.generation, pointer.version, oldest)
        elif not run:
            return 0
        first = Segment(pointer.generation, 0, oldest, run=run, first_day=oldest)
        return _fan_out(
            self.enqueue,
            [
                msgspec.structs.replace(first, shard=shard, images=share(covered, shard))
                for shard in range(SHARDS)
            ],
        )

    def segment(self, body: str, deadline: float) -> int:
        """Refresh one shard until it is done or the time is over; return the number of rows written.

        If the priorities are in another order, the whole shard is refreshed, whatever the usual days are.

        Args:
            body: the message.
            deadline: epoch seconds at which the rest must be left to a new message.

        Raises:
            BadRequest: it is not a message of `rescore`.
            NoProgress: the shard's messages get nowhere, or take too long; no further message is queued.
        """
        segment = decode(body)
        pointer, head = self.model()
        if segment.generation != pointer.generation:
            LOG.info(_OUTDATED, segment.generation, pointer.version)
            return 0
        check_age(segment, self.clock.now())
        every = pointer.predicts and self.progress.orders().get(segment.shard) != self.order
        if every:
            self.progress.reordering(segment.shard, self.order, self.clock.now())
            if segment.order != self.order:  # the progress was for another order, or for none
                segment = reordering(segment, self.order, self.clock.now())
        if head is None and not every:
            self._ended(segment, pointer, stale=0)
            return 0
        passed, rest = self._through(
            segment, deadline, lambda page: self._refresh(page, pointer, head, every=every)
        )
        stale = segment.stale + passed.stale
        if rest is not None:
            self.enqueue(encode(continuation(segment, rest, stale, self.clock.now())))
            return passed.written
        if every:
            self.progress.ordered(segment.shard, self.order)
        self._ended(segment, pointer, stale)
        return passed.written

    def reading(self, body: str, deadline: float) -> int:
        """Have images of one shard read again; return how many were queued. See `ReadAgain.step`."""
        pointer, _ = self.model()
        step = self.reader.step(body, pointer, deadline)
        if step.shard is not None and not step.left and pointer.predicts:
            self._done(pointer, step.shard)
        return step.queued

    def _ended(self, segment: Segment, pointer: ChampionPointer, stale: int) -> None:
        """Continue with the images if scores cannot come from embeddings, or report the shard as done."""
        unread = stale or pointer.detects or not pointer.predicts
        # the index has no images that wait for an answer, so `stale` does not count them
        if segment.run and (unread or segment.images == EVERY or pointer.has_another_backbone):
            self.reader.start(segment)
            return
        if unread:
            LOG.warning(_STALE_BACKBONE, stale, segment.shard) if stale else LOG.warning(_NO_BOXES)
            return
        self.reader.skip(segment)
        self._done(pointer, segment)

    def _done(self, pointer: ChampionPointer, segment: Segment) -> None:
        self.progress.done(pointer.generation, segment.shard, segment.oldest)
        self._finished(pointer)

    def _finished(self, pointer: ChampionPointer) -> None:
        """Request a batch that the champion chooses; a lost or repeated request does no harm."""
        if self.request_batch is None or self.progress.progress() != (pointer.version, SHARDS):
            return
        try:
            self.request_batch()
        except OctospoonError:
            LOG.exception("no new batch could be requested: the next scheduled run will choose one")

    def _through(
        self, segment: Segment, deadline: float, refresh: Callable[[Page], Passed]
    ) -> tuple[Passed, Segment | None]:
        """Refresh page by page, some at once; return the result, and where to continue, if anywhere.

        Every page before that place is done.
        """
        until = min(deadline, self.clock.now() + SLICE)
        at: Segment | None = segment
        pages, working = [], deque[Future[Passed]]()
        with ThreadPoolExecutor(self.workers) as threads:
            while at is not None and (at is segment or self.clock.now() <= until):
                page = self.walk.page_at(at)
                working.append(threads.submit(refresh, page))
                if len(working) > self.workers:
                    pages.append(working.popleft().result())
                at = page.following
            pages += [future.result() for future in working]
        written, stale = (sum(counts) for counts in zip(*pages, strict=True))
        return Passed(written, stale), at

    def _refresh(self, page: Page, pointer: ChampionPointer, head: Head | None, *, every: bool) -> Passed:
        stored = [row for row in self.pool.rows(page.keys).values() if row.state is State.SCORED]
        if head is None:  # the boxes stay; their priorities are written in another order
            rows = [row for row in stored if row.probabilities is not None]
            predictions = [_stored(row) for row in rows]
            return Passed(len(self.pool.rescore(rows, predictions)) if rows else 0, 0)
        fitting = [row for row in stored if row.backbone == pointer.backbone]
        # these rows stay outdated, so the index brings all of them again, and they are counted there
        stale = len(stored) - len(fitting) if page.leftover else 0
        rows = [row for row in fitting if every or row.generation < pointer.generation]
        if not rows:
            return Passed(0, stale)
        probabilities = head.run(np.stack([row.embedding for row in rows]))
        predictions = [
            Prediction(pointer.version, pointer.backbone, row.embedding, probabilities[i], pointer.generation)
            for i, row in enumerate(rows)
        ]
        return Passed(len(self.pool.rescore(rows, predictions)), stale)


@dataclass(frozen=True, slots=True)
class Reorder:
    """Reorders the pool's priorities for the strategy, if they are in another order.

    Attributes:
        progress: in which order each shard is.
        enqueue: sends a message to `rescore`.
        order: the stored score that the priorities are to be.
        clock: the time.
    """

    progress: Rescoring
    enqueue: Callable[[str], None]
    order: str
    clock: Clock

    def __call__(self, generation: int) -> int:
        """Queue one message for each shard in another order, unless it is at work; return how many are left.

        May be called until it returns 0: a shard that is done is not written again. A shard at work gets no
        second message, which would write all its rows once more. After SILENT seconds its message is lost.

        Args:
            generation: of the champion.
        """
        orders = self.progress.orders()
        wrong = [shard for shard in range(SHARDS) if orders.get(shard) != self.order]
        at_work = self.progress.at_work(self.order, self.clock.now() - SILENT) if wrong else set()
        _fan_out(self.enqueue, [Segment(generation, shard) for shard in wrong if shard not in at_work])
        return len(wrong)


def _stored(row: PoolRow) -> Prediction:
    return Prediction(row.model_version, row.backbone, row.embedding, row.probabilities, row.generation)


def _fan_out(enqueue: Callable[[str], None], segments: Iterable[Segment]) -> int:
    bodies = [encode(segment) for segment in segments]
    for body in bodies:
        enqueue(body)
    return len(bodies)
