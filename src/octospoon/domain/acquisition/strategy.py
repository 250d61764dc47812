"""What a strategy is: a stored priority, and a choice among candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.acquisition.least import least

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.acquisition.least import Measure


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a strategy chooses from; row i of every array belongs to ids[i].

    Attributes:
        ids: object keys, each once.
        probabilities: float [N, C], or None while there is no head.
        embeddings: float [N, D], or None where the strategy does not need them.
    """

    ids: Sequence[str]
    probabilities: npt.NDArray[np.floating] | None = None
    embeddings: npt.NDArray[np.floating] | None = None

    def predicted(self) -> npt.NDArray[np.floating]:
        """Return the probabilities.

        Raises:
            ValueError: there are none.
        """
        if self.probabilities is None:
            raise ValueError(
                "this strategy needs probabilities: use typiclust or random until there is a head"
            )
        return self.probabilities

    def embedded(self) -> npt.NDArray[np.float64]:
        """Return the embeddings as float64 [N, D].

        Raises:
            ValueError: there are none, or they hold NaN or infinity.
        """
        if self.embeddings is None:
            raise ValueError(
                "this strategy needs embeddings: use power_margin, margin or random without them"
            )
        wide = self.embeddings.astype(np.float64)
        if not np.isfinite(wide).all():
            raise ValueError("an embedding is not finite: score that image again, or leave its row out")
        return wide

    def take(self, indices: npt.NDArray[np.int64]) -> Candidates:
        """Return the candidates at these positions, in this order."""
        return Candidates(
            [self.ids[i] for i in indices],
            None if self.probabilities is None else self.probabilities[indices],
            None if self.embeddings is None else self.embeddings[indices],
        )


class Select(Protocol):
    """Chooses a batch."""

    def __call__(self, pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
        """Return min(n, N) distinct positions of the pool, most wanted first.

        The order of the rows does not matter: equal ids, contents and seed give the same images.

        Raises:
            ValueError: something the strategy needs is missing or not finite.
        """


class Score(Protocol):
    """Scores images one by one."""

    def __call__(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return float64 [N] for float [N, C]; higher means that the strategy wants it more.

        Raises:
            ValueError: the array has the wrong shape, or holds NaN or infinity.
        """


@dataclass(frozen=True, slots=True)
class Strategy:
    """One acquisition strategy.

    Attributes:
        name: its name in settings, picks and reports.
        select: chooses a batch.
        score: scores images one by one; None where an image has no score of its own.
        needs_embeddings: whether `select` reads embeddings.
    """

    name: str
    select: Select
    score: Score | None = None
    needs_embeddings: bool = False

    @property
    def needs_probabilities(self) -> bool:
        """Say whether `select` needs a head; where it does not, candidates are a uniform draw."""
        return self.score is not None


def highest(scores: npt.NDArray[np.float64], ids: Sequence[str], n: int) -> npt.NDArray[np.int64]:
    """Return the positions of the n highest scores, highest first, ties broken by id.

    Raises:
        ValueError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: score that image again, or leave its row out")
    n = min(n, len(scores))
    if n <= 0:
        return np.empty(0, np.int64)
    border = np.partition(scores, len(scores) - n)[len(scores) - n]
    contenders = np.flatnonzero(scores >= border)
    order = sorted(
        (-score, ids[i], i) for i, score in zip(contenders.tolist(), scores[contenders].tolist(), strict=True)
    )
    return np.array([i for _, _, i in order[:n]], np.int64)


def by_score(score: Score) -> Select:
    """Return the selection that takes the highest scores."""

    def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
        del seed
        return highest(score(pool.predicted()), pool.ids, n)

    return select


def by_least(measure: Measure, score: Score) -> Select:
    """Return the selection that takes the highest scores, without scoring what is far from them.

    Args:
        measure: never rises with the score, so that rounding may at most make it tie where scores differ.
        score: of the strategy.
    """

    def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
        del seed
        near = least(measure, pool.predicted(), n)
        return near[highest(score(pool.predicted()[near]), [pool.ids[i] for i in near.tolist()], n)]

    return select


def in_order_of_id(ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the positions that sort the ids: what follows no longer depends on the order of the rows."""
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
