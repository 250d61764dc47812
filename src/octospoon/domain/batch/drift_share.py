"""The drift share of a batch: which uploads differ most from the reference, and which of them to label."""

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
"""Number of images kept from a window. It is enough for ten usual batches, and even with the longest keys it
fits into one DynamoDB item."""


def examples(known: Reference, rows: Sequence[PoolRow], finding: DriftResult) -> tuple[DriftExample, ...]:
    """Return the unlabelled uploads that differ most from the reference, at most MOST, highest score first.

    The result is empty unless drift is confirmed, because one in twenty unchanged windows is suspected.

    Args:
        known: the reference that the window was compared with.
        rows: the window, at least one row.
        finding: the result of the comparison.
    """
    if finding.level is not Level.CONFIRMED:
        return ()
    scores = novelty(known, np.stack([row.embedding for row in rows])).tolist()
    new = [
        DriftExample(row.key, row.etag, score)
        for row, score in zip(rows, scores, strict=True)
        if score > 0 and row.state is State.SCORED
    ]
    return tuple(sorted(new, key=lambda example: (-example.score, example.key))[:MOST])


def of(observation: Observation, version: int) -> tuple[DriftExample, ...]:
    """Return the drift examples of an observation, or none if it is of another model version."""
    return observation.drifted if observation.version == version else ()


def waiting(drifted: Sequence[DriftExample], rows: Mapping[str, PoolRow]) -> list[Candidate]:
    """Return the examples that can still be chosen: unlabelled, not deleted, and with the same bytes.

    Args:
        drifted: the examples; their order is kept.
        rows: current rows of the pool, by key.
    """
    return [
        Candidate(example.key, example.etag, None, sampling_key(example.key))
        for example in drifted
        if (row := rows.get(example.key)) is not None
        and (row.state, row.etag) == (State.SCORED, example.etag)
    ]


def by_score(name: str, scores: Mapping[str, float]) -> Strategy:
    """Return the strategy that takes the highest scores among these images; it scores no other image.

    Args:
        name: of the strategy.
        scores: by key.
    """

    def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
        del seed
        return highest(np.array([scores[key] for key in pool.ids], np.float64), pool.ids, n)

    return Strategy(name, select, needs_embeddings=True)
