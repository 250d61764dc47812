"""The arithmetic of uncertainty that every strategy, the pool's stored scores and the reports share."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.entities import Uncertainty

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

_CHUNK = 5 << 17
_WAITING = 4
_ROWS_A_WORKER = 100_000
_BITS: dict[int, npt.DTypeLike] = {2: np.uint16, 4: np.uint32, 8: np.uint64}


class Measure(Protocol):
    """Measures confidence; the smaller, the more a strategy wants the row."""

    def of(self, chunk: Chunk) -> npt.NDArray[np.floating]:
        """Return float [n], in the precision of the probabilities."""

    def maybe_below(self, chunk: Chunk, border: float) -> npt.NDArray[np.int64]:
        """Return the positions of all rows whose measure is at most the border, and of few others."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of the probabilities.

    Attributes:
        rows: which.
        columns: float [C, n], class-major.
        largest: float [n].
    """

    rows: slice
    columns: npt.NDArray[np.floating]
    largest: npt.NDArray[np.floating]


def checked(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the array unchanged if it is float [N, C] with C >= 2.

    Raises:
        ValueError: it is not.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(f"probabilities must be [N, C] with at least two classes, not {probabilities.shape}")
    return probabilities


def chunks(
    probabilities: npt.NDArray[np.floating], begin: int = 0, end: int | None = None
) -> Iterator[Chunk]:
    """Yield the rows of float [N, C], from `begin` on, in chunks small enough for the processor's cache.

    Their columns are views where the array lies class-major (in Fortran's order) already; else copies, valid
    until the next chunk is asked for.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    classes = checked(probabilities).shape[1]
    rows = max(256, _CHUNK // (classes * probabilities.itemsize))
    turned = np.empty(0, probabilities.dtype)
    stop = len(probabilities) if end is None else end
    for start in range(begin, stop, rows):
        part = slice(start, min(start + rows, stop))
        columns = probabilities[part].T
        if columns.strides[1] != columns.itemsize:
            turned = turned if turned.size else np.empty(columns.size, columns.dtype)
            copy = turned[: columns.size].reshape(columns.shape)
            np.copyto(copy, columns)
            columns = copy
        yield Chunk(part, columns, _largest(columns, start))


def _largest(columns: npt.NDArray[np.floating], start: int) -> npt.NDArray[np.floating]:
    """Return the largest of each column, if all are finite."""
    bits = _BITS.get(columns.itemsize)
    if bits:
        # as unsigned integers, floats keep their order, and infinity, NaN and all negative ones lie above
        largest = columns.view(bits).max(axis=0)
        if largest.max() < np.array(np.inf, columns.dtype).view(bits):
            return np.asarray(largest.view(columns.dtype))
    finite = np.isfinite(columns)
    if not finite.all():
        row = start + int(np.flatnonzero(~finite.all(axis=0))[0])
        raise ValueError(
            f"row {row} of the probabilities is not finite: score that image again with a sound model, "
            "or leave its row out"
        )
    return np.asarray(columns.max(axis=0))


class Largest:
    """The largest probability."""

    @staticmethod
    def of(chunk: Chunk) -> npt.NDArray[np.floating]:
        """Return the largest of each row."""
        return chunk.largest

    @staticmethod
    def maybe_below(chunk: Chunk, border: float) -> npt.NDArray[np.int64]:
        """Return the positions of the rows whose largest is at most the border."""
        return np.flatnonzero(chunk.largest <= border)


class Gap:
    """The largest probability less the second largest."""

    @staticmethod
    def of(chunk: Chunk) -> npt.NDArray[np.floating]:
        """Return the gap of each row."""
        first, second = two_largest(chunk.columns)
        result: npt.NDArray[np.floating] = np.subtract(first, second, out=first)
        return result

    @staticmethod
    def maybe_below(chunk: Chunk, border: float) -> npt.NDArray[np.int64]:
        """Return the positions of the rows where two classes are within the border of the largest.

        That takes two passes of the cheapest kind, where finding the second largest takes three for each
        class. What rounding may do is allowed for, where no largest is negative.
        """
        if chunk.largest.min() < 0:
            return np.flatnonzero(Gap.of(chunk) <= border)
        slack = 4 * float(np.finfo(chunk.largest.dtype).eps)
        least = np.multiply(chunk.largest, 1 - slack)
        np.subtract(least, border * (1 + slack), out=least)
        near = (chunk.columns >= least).view(np.int8)
        count = np.int8 if len(near) <= np.iinfo(np.int8).max else np.int64
        return np.flatnonzero(np.add.reduce(near, axis=0, dtype=count) > 1)


def two_largest(
    chunk: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Return the largest and the second largest of each column of [C, n]."""
    first = np.maximum(chunk[0], chunk[1])
    second = np.minimum(chunk[0], chunk[1])
    spare = np.empty_like(first)
    for column in chunk[2:]:
        np.minimum(first, column, out=spare)
        np.maximum(second, spare, out=second)
        np.maximum(first, column, out=first)
    return first, second


def least(
    measure: Measure, probabilities: npt.NDArray[np.floating], n: int, workers: int = 0
) -> npt.NDArray[np.int64]:
    """Return the positions of the n rows with the smallest measure, of all that tie, and of some more.

    Only what may be below the n-th smallest so far is measured and kept: no array of N numbers is made,
    unless most rows tie.

    Args:
        measure: of a row.
        probabilities: float [N, C].
        n: how many.
        workers: threads; 0 for one per core, as far as each has enough to do. Each may find n rows.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    size = len(checked(probabilities))
    workers = max(1, min(workers or os.cpu_count() or 1, size // _ROWS_A_WORKER))
    borders = [size * worker // workers for worker in range(workers + 1)]
    if workers == 1:
        return _least(measure, probabilities, n, 0, size)
    with ThreadPoolExecutor(workers) as threads:
        found = threads.map(lambda part: _least(measure, probabilities, n, *part), pairwise(borders))
        return np.concatenate(list(found))


def _least(
    measure: Measure, probabilities: npt.NDArray[np.floating], n: int, begin: int, end: int
) -> npt.NDArray[np.int64]:
    best = _Least(n, probabilities.dtype)
    waiting: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.floating]]] = []
    for chunk in chunks(probabilities, begin, end):
        if best.border == np.inf:
            best.add(np.arange(chunk.rows.start, chunk.rows.stop), measure.of(chunk))
            continue
        near = measure.maybe_below(chunk, best.border)
        waiting.append((near + chunk.rows.start, chunk.columns[:, near]))
        if sum(len(found) for found, _ in waiting) > _WAITING * n or chunk.rows.stop == end:
            found, columns = (np.concatenate(parts, axis=-1) for parts in zip(*waiting, strict=True))
            best.add(found, measure.of(Chunk(chunk.rows, columns, columns.max(axis=0))))
            waiting = []
    return best.positions


class _Least:
    """The n smallest values so far, and all that tie with the n-th, the border."""

    def __init__(self, n: int, dtype: np.dtype[np.floating]) -> None:
        self.n, self.border = n, np.inf
        self.values, self.positions = np.empty(0, dtype), np.empty(0, np.int64)

    def add(self, positions: npt.NDArray[np.int64], values: npt.NDArray[np.floating]) -> None:
        near = values <= self.border
        self.values = np.concatenate([self.values, values[near]])
        self.positions = np.concatenate([self.positions, positions[near]])
        if len(self.values) > self.n > 0:
            self.border = float(np.partition(self.values, self.n - 1)[self.n - 1])
            below = self.values <= self.border
            self.values, self.positions = self.values[below], self.positions[below]


def normalised_entropy(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return -sum p log p / log C of each row of float [N, C], float64 [N] in [0, 1].

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    entropy = np.empty(len(probabilities))
    for chunk in chunks(probabilities):
        wide = chunk.columns.astype(np.float64)
        logs = np.log(wide, out=np.zeros_like(wide), where=wide > 0)
        entropy[chunk.rows] = -np.einsum("cn,cn->n", wide, logs) / np.log(len(wide))
    return np.clip(entropy, 0.0, 1.0)


def uncertainties(probabilities: npt.NDArray[np.floating]) -> list[Uncertainty]:
    """Return the raw scores of each image.

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    pairs = [two_largest(chunk.columns) for chunk in chunks(probabilities)]
    if not pairs:
        return []
    first, second = (np.concatenate(one).tolist() for one in zip(*pairs, strict=True))
    entropy = normalised_entropy(probabilities).tolist()
    top = probabilities.argmax(axis=1).tolist()
    return [
        Uncertainty(
            least_confidence=1.0 - first[i],
            margin=1.0 - (first[i] - second[i]),
            entropy=entropy[i],
            top_class=top[i],
            confidence=first[i],
        )
        for i in range(len(probabilities))
    ]


def uncertainty(probabilities: npt.NDArray[np.floating]) -> Uncertainty:
    """Return the raw scores of one image, of float [C]; see `uncertainties`."""
    return uncertainties(probabilities[np.newaxis])[0]
