"""Refresh the scores of the selectable images when the champion changes, from stored embeddings.

One message per shard of the pool; a shard that takes longer than one invocation goes on in a next message.
The same messages put the priorities in another order when the strategy is changed to one that needs it.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from octospoon.domain.entities import Prediction
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


class Head(Protocol):
    """The part of a model that turns embeddings into probabilities."""

    def run(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D]."""


class Segment(msgspec.Struct, frozen=True):
    """One shard of the pool to refresh for one version, from a lottery number on."""

    version: int
    shard: int
    start: float = -1.0


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
        self.progress.begin(pointer.version)
        return _fan_out(self.enqueue, pointer.version, range(SHARDS))

    def segment(self, body: str, deadline: float) -> int:
        """Refresh one shard until it is done or the deadline (epoch seconds) nears; return the rows written.

        Raises:
            BadRequest: not a message of ours.
        """
        segment = _decode(body)
        pointer, head = self.model()
        if head is None or segment.version != pointer.version:
            LOG.info("version %d is no longer the champion", segment.version)
            return 0
        every = self.progress.orders().get(segment.shard) != self.order
        if every:
            self.progress.ordered(segment.shard, "")
        written, following = self._through(
            segment, deadline, lambda page: self._refresh(page, pointer, head, every=every)
        )
        if following is not None:
            self.enqueue(msgspec.json.encode(msgspec.structs.replace(segment, start=following)).decode())
            return written
        if every:
            self.progress.ordered(segment.shard, self.order)
        self.progress.done(pointer.version, segment.shard)
        return written

    def _through(
        self, segment: Segment, deadline: float, refresh: Callable[[Sequence[Candidate]], int]
    ) -> tuple[int, float | None]:
        """Refresh page by page, some pages at once; return the rows written, and where to go on if anywhere.

        Every page before that place is done.
        """
        written, start, working = 0, segment.start, deque[Future[int]]()
        with ThreadPoolExecutor(self.workers) as threads:
            while True:
                page, following = self.pool.selectable(segment.shard, start, PAGE)
                working.append(threads.submit(refresh, page))
                if following is None or self.clock.now() > deadline:
                    return written + sum(one.result() for one in working), following
                if len(working) > self.workers:
                    written += working.popleft().result()
                start = following

    def _refresh(
        self, page: Sequence[Candidate], pointer: ChampionPointer, head: Head, *, every: bool
    ) -> int:
        stored = self.pool.rows([candidate.key for candidate in page]).values()
        fitting = [row for row in stored if row.backbone == pointer.backbone]
        rows = [row for row in fitting if every or row.model_version < pointer.version]
        if not rows:
            return 0
        probabilities = head.run(np.stack([row.embedding for row in rows]))
        predictions = [
            Prediction(pointer.version, pointer.backbone, row.embedding, probabilities[i])
            for i, row in enumerate(rows)
        ]
        return len(self.pool.rescore(rows, predictions))


@dataclass(frozen=True, slots=True)
class Reorder:
    """Has the pool's priorities put in the order that the strategy needs, where they are in another."""

    progress: Rescoring
    enqueue: Callable[[str], None]
    order: str

    def __call__(self, version: int) -> int:
        """Queue one message for each shard in another order; return how many there are.

        May be called again until there is none: a shard that is done already is not written twice.

        Args:
            version: of the champion.
        """
        orders = self.progress.orders()
        wrong = [shard for shard in range(SHARDS) if orders.get(shard) != self.order]
        return _fan_out(self.enqueue, version, wrong)


def _fan_out(enqueue: Callable[[str], None], version: int, shards: Iterable[int]) -> int:
    bodies = [msgspec.json.encode(Segment(version, shard)).decode() for shard in shards]
    for body in bodies:
        enqueue(body)
    return len(bodies)


def _decode(body: str) -> Segment:
    try:
        return msgspec.json.decode(body, type=Segment)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"not a message of ours: {error}") from error
