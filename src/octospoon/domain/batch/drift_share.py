"""What drifted most goes to the annotators: which images those are, and which of them a batch takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.acquisition import Strategy
from octospoon.domain.acquisition.strategy import highest
from octospoon.domain.monitoring.drift import Level, novelty
from octospoon.domain.monitoring.observations import DriftExample
from octospoon.domain.pool.images import Candidate, State
from octospoon.domain.pool.keys import sampling_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.acquisition import Candidates
    from octospoon.domain.monitoring.drift import DriftResult, Reference
    from octospoon.domain.monitoring.observations import Observation
    from octospoon.domain.pool.images import PoolRow

DRIFT = "drift"
MOST = 50
"""Images kept of a window: ten batches' worth as they come, and with the longest keys below what an item of
DynamoDB holds."""


def examples(known: Reference, rows: Sequence[PoolRow], finding: DriftResult) -> tuple[DriftExample, ...]:
    """Return the images by which confirmed drift shows most, at most MOST, highest score first.

    Only images that annotators have not got yet. A suspicion gives none: of twenty windows in which nothing
    has changed, one is suspected.

    Args:
        known: what the window was compared with.
        rows: the window, at least one.
        finding: of the comparison.
    """
    if finding.level is not Level.CONFIRMED:
        return ()
    scores = novelty(known, np.stack([row.embedding for row in rows])).tolist()
    found = [
        DriftExample(row.key, row.etag, score)
        for row, score in zip(rows, scores, strict=True)
        if score > 0 and row.state is State.SCORED
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.key))[:MOST])


def of(observation: Observation, version: int) -> tuple[DriftExample, ...]:
    """Return the images by which drift shows to the model in service; none of another model's."""
    return observation.drifted if observation.version == version else ()


def waiting(drifted: Sequence[DriftExample], rows: Mapping[str, PoolRow]) -> list[Candidate]:
    """Return those that can still be chosen: neither taken, nor gone, nor of other bytes.

    Args:
        drifted: in their order.
        rows: of the pool, by key, as they are now.
    """
    return [
        Candidate(one.key, one.etag, None, sampling_key(one.key))
        for one in drifted
        if (row := rows.get(one.key)) is not None and (row.state, row.etag) == (State.SCORED, one.etag)
    ]


def most_drifted(drifted: Sequence[DriftExample]) -> Strategy:
    """Return the strategy that takes the highest scores among these images, and knows no others."""
    scores = {one.key: one.score for one in drifted}

    def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
        del seed
        return highest(np.array([scores[key] for key in pool.ids], np.float64), pool.ids, n)

    return Strategy(DRIFT, select, needs_embeddings=True)
