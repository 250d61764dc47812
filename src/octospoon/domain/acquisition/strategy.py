"""Define what an acquisition strategy is: a score that orders the pool, and a choice among candidates."""

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
    """The N images that a strategy chooses from; row i of every array belongs to ids[i].

    Attributes:
        ids: N object keys, each once.
        probabilities: float [N, C], or None while no model has classes; of boxes, see `of_classes` in
            `octospoon.domain.pool.boxes`.
        embeddings: float [N, D], or None if the strategy does not need them.
        labels: int64 [C], the number of labels of each class so far, if the batch looks for rare classes.
        outcomes: float [N, K], what `TaskType.outcomes` returns for the probabilities; None if the classes
            exclude each other.
    """

    ids: Sequence[str]
    probabilities: npt.NDArray[np.floating] | None = None
    embeddings: npt.NDArray[np.floating] | None = None
    labels: npt.NDArray[np.int64] | None = None
    outcomes: npt.NDArray[np.floating] | None = None

    def predicted(self) -> npt.NDArray[np.floating]:
        """Return the probabilities of the outcomes, float [N, K]; these are the C classes without others.

        Raises:
            ValueError: there are no probabilities.
        """
        if self.probabilities is None:
            raise ValueError(
                "this strategy needs probabilities: use typiclust or random until there is a head"
            )
        return self.probabilities if self.outcomes is None else self.outcomes

    def embedded(self) -> npt.NDArray[np.float64]:
        """Return the embeddings as float64 [N, D].

        Raises:
            ValueError: there are no embeddings, or they contain NaN or infinity.
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
            self.labels,
            None if self.outcomes is None else self.outcomes[indices],
        )


class Select(Protocol):
    """A function that chooses a batch."""

    def __call__(self, pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
        """Return min(n, N) distinct positions of the pool, int64, most wanted first.

        The order of the rows has no influence: equal ids, contents and seed give the same images.

        Args:
            pool: N candidates.
            n: number of images to choose.
            seed: fixes every random choice.

        Raises:
            ValueError: an array that the strategy needs is missing or not finite.
        """


class Score(Protocol):
    """A function that scores each image by itself."""

    def __call__(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return float64 [N] for float [N, C]; the strategy prefers a higher score.

        Raises:
            ValueError: the array has the wrong shape, or holds NaN or infinity.
        """


@dataclass(frozen=True, slots=True)
class Strategy:
    """An acquisition strategy.

    Attributes:
        name: its name in settings, picks and reports.
        select: chooses a batch.
        score: scores each image by itself; None if the strategy has no such score.
        needs_embeddings: whether `select` reads embeddings.
        seeks_rare: whether `select` can look for rare classes, see `Candidates.labels`.
    """

    name: str
    select: Select
    score: Score | None = None
    needs_embeddings: bool = False
    seeks_rare: bool = False

    @property
    def needs_probabilities(self) -> bool:
        """Return True if `select` needs a head. If it does not, its candidates are a uniform draw."""
        return self.score is not None


def highest(scores: npt.NDArray[np.float64], ids: Sequence[str], n: int) -> npt.NDArray[np.int64]:
    """Return the positions of the n highest scores, highest first, ties broken by id.

    Args:
        scores: float64 [N].
        ids: N object keys.
        n: number of positions; all N if it is larger.

    Returns:
        int64 [min(n, N)].

    Raises:
        ValueError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: score that image again, or leave its row out")
    n = min(n, len(scores))
    if n <= 0:
        return np.empty(0, np.int64)
    # Only scores that tie with the n-th highest or exceed it are sorted, in Python, because ids break ties.
    border = np.partition(scores, len(scores) - n)[len(scores) - n]
    contenders = np.flatnonzero(scores >= border)
    order = sorted(
        (-score, ids[i], i) for i, score in zip(contenders.tolist(), scores[contenders].tolist(), strict=True)
    )
    return np.array([i for _, _, i in order[:n]], np.int64)


def by_score(score: Score) -> Select:
    """Return a `Select` that takes the images with the highest scores."""

    def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
        del seed
        return highest(score(pool.predicted()), pool.ids, n)

    return select


def by_least(measure: Measure, score: Score) -> Select:
    """Return a `Select` that takes the highest scores and computes them only for rows that may be among them.

    Args:
        measure: does not increase with the score. Rounding can make two measures tie whose scores differ, so
            `least` returns every row that ties, and the scores decide among them.
        score: the strategy's score.
    """

    def select(pool: Candidates, n: int, seed: str) -> npt.NDArray[np.int64]:
        del seed
        near = least(measure, pool.predicted(), n)
        return near[highest(score(pool.predicted()[near]), [pool.ids[i] for i in near.tolist()], n)]

    return select


def in_order_of_id(ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the positions that sort the ids, so that a result cannot depend on the order of the rows."""
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
