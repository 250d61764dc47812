"""Refresh the scores of the selectable images when the champion changes, from stored embeddings.

One message per shard of the pool; a shard that takes longer than one invocation goes on in a next message.
The same messages put the priorities in another order when the strategy is changed to one that needs it.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import numpy as np

from octospoon.domain.entities import Prediction, State
from octospoon.domain.errors import BadRequest
from octospoon.domain.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from octospoon.domain.entities import Candidate
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports import Clock, Pool, Rescoring

LOG = logging.getLogger(__name__)
PAGE = 100
_FOREIGN = (
    "%d rows of shard %d have another backbone's embeddings: `octospoon rescore --full` has their images "
    "scored again"
)


class Head(Protocol):
    """The part of a model that turns embeddings into probabilities."""

    def run(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D]."""


class Segment(msgspec.Struct, frozen=True):
    """One shard of the pool to refresh for the pointer of one turn, from a lottery number on.

    Attributes:
        turn: see `ChampionPointer`.
        shard: of the pool.
        start: the last lottery number that is done.
        foreign: rows met so far whose embedding another backbone made.
    """

    turn: int
    shard: int
    start: float = -1.0
    foreign: int = 0


class Passed(NamedTuple):
    """What became of some rows: how many were written, and how many another backbone's embedding keeps."""

    written: int
    foreign: int


@dataclass(frozen=True, slots=True)
class RescorePool:
    """The use case.

    Attributes:
        pool: whose scores are refreshed.
        progress: what is done, for people and for tests.
        model: gives the champion that predicts now, and its head (None for a cold-start model).
        enqueue: sends one more message to this use case.
        clock: the time.
        order: the stored score that the pool's priorities are to be.
        workers: pages of rows read, predicted and written at once.
    """

    pool: Pool
    progress: Rescoring
    model: Callable[[], tuple[ChampionPointer, Head | None]]
    enqueue: Callable[[str], None]
    clock: Clock
    order: str
    workers: int = 4

    def champion_changed(self) -> int:
        """Fan out: queue one message per shard; return how many."""
        pointer, head = self.model()
        if head is None:
            return 0
        self.progress.begin(pointer.turn, pointer.version)
        return _fan_out(self.enqueue, pointer.turn, range(SHARDS))

    def segment(self, body: str, deadline: float) -> int:
        """Refresh one shard until it is done or the deadline (epoch seconds) nears; return the rows written.

        Raises:
            BadRequest: not a message of ours.
        """
        segment = _decode(body)
        pointer, head = self.model()
        if head is None or segment.turn != pointer.turn:
            LOG.info("the turn %d is over: version %d is in service now", segment.turn, pointer.version)
            return 0
        every = self.progress.orders().get(segment.shard) != self.order
        if every:
            self.progress.ordered(segment.shard, "")
        passed, following = self._through(
            segment, deadline, lambda page: self._refresh(page, pointer, head, every=every)
        )
        foreign = segment.foreign + passed.foreign
        if following is not None:
            rest = msgspec.structs.replace(segment, start=following, foreign=foreign)
            self.enqueue(msgspec.json.encode(rest).decode())
            return passed.written
        if every:
            self.progress.ordered(segment.shard, self.order)
        if foreign:
            LOG.warning(_FOREIGN, foreign, segment.shard)
        else:
            self.progress.done(pointer.turn, segment.shard)
        return passed.written

    def _through(
        self, segment: Segment, deadline: float, refresh: Callable[[Sequence[Candidate]], Passed]
    ) -> tuple[Passed, float | None]:
        """Refresh page by page, some at once; return what became of them, and where to go on if anywhere.

        Every page before that place is done.
        """
        pages, start, working = [], segment.start, deque[Future[Passed]]()
        with ThreadPoolExecutor(self.workers) as threads:
            while True:
                page, following = self.pool.selectable(segment.shard, start, PAGE)
                working.append(threads.submit(refresh, page))
                if following is None or self.clock.now() > deadline:
                    pages += [one.result() for one in working]
                    written, foreign = (sum(counts) for counts in zip(*pages, strict=True))
                    return Passed(written, foreign), following
                if len(working) > self.workers:
                    pages.append(working.popleft().result())
                start = following

    def _refresh(
        self, page: Sequence[Candidate], pointer: ChampionPointer, head: Head, *, every: bool
    ) -> Passed:
        stored = self.pool.rows([candidate.key for candidate in page]).values()
        fitting = [row for row in stored if row.backbone == pointer.backbone]
        foreign = sum(row.state is State.SCORED for row in stored if row.backbone != pointer.backbone)
        rows = [row for row in fitting if every or row.turn < pointer.turn]
        if not rows:
            return Passed(0, foreign)
        probabilities = head.run(np.stack([row.embedding for row in rows]))
        predictions = [
            Prediction(pointer.version, pointer.backbone, row.embedding, probabilities[i], pointer.turn)
            for i, row in enumerate(rows)
        ]
        return Passed(len(self.pool.rescore(rows, predictions)), foreign)


@dataclass(frozen=True, slots=True)
class Reorder:
    """Has the pool's priorities put in the order that the strategy needs, where they are in another."""

    progress: Rescoring
    enqueue: Callable[[str], None]
    order: str

    def __call__(self, turn: int) -> int:
        """Queue one message for each shard in another order; return how many there are.

        May be called again until there is none: a shard that is done already is not written twice.

        Args:
            turn: of the champion.
        """
        orders = self.progress.orders()
        wrong = [shard for shard in range(SHARDS) if orders.get(shard) != self.order]
        return _fan_out(self.enqueue, turn, wrong)


def _fan_out(enqueue: Callable[[str], None], turn: int, shards: Iterable[int]) -> int:
    bodies = [msgspec.json.encode(Segment(turn, shard)).decode() for shard in shards]
    for body in bodies:
        enqueue(body)
    return len(bodies)


def _decode(body: str) -> Segment:
    try:
        return msgspec.json.decode(body, type=Segment)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"not a message of ours: {error}") from error
