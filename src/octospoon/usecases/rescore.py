"""Refresh the scores of the selectable images when the champion changes, from stored embeddings.

One message per shard of the pool; a shard that takes longer than one invocation goes on in a next message.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from octospoon.domain.entities import Prediction
from octospoon.domain.errors import BadRequest
from octospoon.domain.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from octospoon.domain.entities import Candidate, PoolRow
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
        workers: rows written at once.
    """

    pool: Pool
    progress: Rescoring
    model: Callable[[], tuple[ChampionPointer, Head | None]]
    enqueue: Callable[[str], None]
    clock: Clock
    workers: int = 8

    def champion_changed(self) -> int:
        """Fan out: queue one message per shard; return how many."""
        pointer, head = self.model()
        if head is None:
            return 0
        self.progress.begin(pointer.version)
        for shard in range(SHARDS):
            self.enqueue(msgspec.json.encode(Segment(pointer.version, shard)).decode())
        return SHARDS

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
        written, start = 0, segment.start
        while True:
            page, following = self.pool.selectable(segment.shard, start, PAGE)
            written += self._refresh(page, pointer, head)
            if following is None:
                self.progress.done(pointer.version, segment.shard)
                return written
            start = following
            if self.clock.now() > deadline:
                self.enqueue(msgspec.json.encode(msgspec.structs.replace(segment, start=start)).decode())
                return written

    def _refresh(self, page: Sequence[Candidate], pointer: ChampionPointer, head: Head) -> int:
        stored = self.pool.rows([candidate.key for candidate in page]).values()
        rows = [row for row in stored if row.backbone == pointer.backbone and _older(row, pointer)]
        if not rows:
            return 0
        probabilities = head.run(np.stack([row.embedding for row in rows]))
        predictions = [
            Prediction(pointer.version, pointer.backbone, row.embedding, probabilities[i])
            for i, row in enumerate(rows)
        ]
        with ThreadPoolExecutor(self.workers) as threads:
            return sum(threads.map(self.pool.rescore, rows, predictions))


def _older(row: PoolRow, pointer: ChampionPointer) -> bool:
    return row.model_version < pointer.version


def _decode(body: str) -> Segment:
    try:
        return msgspec.json.decode(body, type=Segment)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"not a message of ours: {error}") from error
