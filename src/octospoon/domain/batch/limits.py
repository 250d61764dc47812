"""Limits on one batch: no near-copies, and not too many images of one class or one folder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import numpy.typing as npt

    from octospoon.domain.acquisition import Candidates
    from octospoon.domain.acquisition.strategy import Select


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the images that a strategy chooses for a batch.

    Attributes:
        min_distance: smallest cosine distance of two embeddings, in [0, 2); 0 for no limit.
        class_quota: largest share of one predicted class, in (0, 1].
        group_quota: largest share of one group, in (0, 1]; a group is a folder of the bucket.
    """

    min_distance: float = 0.0
    class_quota: float = 1.0
    group_quota: float = 1.0


def within(
    limits: Limits, select: Select, pool: Candidates, n: int, seed: str, *, fill: bool = True
) -> npt.NDArray[np.int64]:
    """Return up to min(n, N) positions that a strategy chooses within the limits, most wanted first.

    An image that breaks a limit together with an image chosen before is skipped. Then `select` chooses again
    among the images that are left.

    Args:
        limits: the limits.
        select: the strategy's choice.
        pool: N candidates.
        n: number of images.
        seed: for `select`.
        fill: whether to fill the batch with images that break a limit if no others are left, so that
            annotators never wait. False if the caller fills the batch in another way.

    Returns:
        int64 positions; min(n, N) of them if `fill` is True.

    Raises:
        ValueError: an array that the strategy needs is missing, or an embedding is not finite.
    """
    rules = list(_rules(limits, pool, n))
    chosen: list[int] = []
    free = np.ones(len(pool.ids), np.bool_)
    while rules and len(chosen) < n and free.any():
        left = np.flatnonzero(free)
        for position in left[select(pool.take(left), n - len(chosen), seed)].tolist():
            if free[position]:
                chosen.append(position)
                free[position] = False
                for rule in rules:
                    free[rule.closed_by(position)] = False
    if rules and not fill:
        return np.array(chosen, np.int64)
    left = np.setdiff1d(np.arange(len(pool.ids)), chosen)
    rest = left[select(pool.take(left), n - len(chosen), seed)] if len(chosen) < n else left[:0]
    return np.concatenate([np.array(chosen, np.int64), rest])


def group_of(key: str) -> str:
    """Return the folder of an object key, such as ``trip-7/cam-1`` for ``trip-7/cam-1/0004.jpg``."""
    return key.rpartition("/")[0]


def _rules(limits: Limits, pool: Candidates, n: int) -> Iterator[_Apart | _Quota]:
    if limits.min_distance > 0 and pool.embeddings is not None:
        yield _Apart(pool.embedded(), limits.min_distance)
    if limits.class_quota < 1 and pool.probabilities is not None:
        yield _Quota(pool.probabilities.argmax(axis=1).tolist(), limits.class_quota, n)
    if limits.group_quota < 1:
        yield _Quota([group_of(key) for key in pool.ids], limits.group_quota, n)


class _Apart:
    """A chosen image excludes all images that are nearer to it than a cosine distance."""

    def __init__(self, embeddings: npt.NDArray[np.float64], distance: float) -> None:
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        self._unit = embeddings / np.where(lengths > 0, lengths, 1.0)
        self._near = 1.0 - distance

    def closed_by(self, position: int) -> npt.NDArray[np.bool_]:
        return np.asarray(self._unit @ self._unit[position] > self._near)


class _Quota:
    """A group is excluded as soon as it has its share of the batch, rounded up."""

    def __init__(self, groups: Sequence[Hashable], share: float, n: int) -> None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        self._group = np.array([numbers[group] for group in groups], np.int64)
        self._open = np.full(len(numbers), math.ceil(share * n), np.int64)

    def closed_by(self, position: int) -> npt.NDArray[np.bool_]:
        own = self._group[position]
        self._open[own] -= 1
        return np.asarray((self._group == own) & (self._open[own] <= 0))
