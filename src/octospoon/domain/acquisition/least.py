"""The rows with the smallest measure, of many, without an array of N numbers.

Threads of numpy's wait for each other at every call, for longer than the arithmetic of a small array takes.
Hence few calls, each on as much as the cache of one core holds.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.acquisition.scores import BITS, checked, chunks, two_largest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

_BLOCK = 800_000
"""Bytes of probabilities that are looked at by one call."""
_TILE = 32_768
"""Bytes of probabilities that fit into the first cache of a core, once as they are and once turned."""
_BLOCKS = 8
_ROWS_A_WORKER = 100_000
_SURE = 1.001
"""Numbers from nought to here are only compared with the border; where there are others, all are measured."""
_PAIR: dict[int, npt.DTypeLike] = {2: np.uint32, 4: np.uint64, 8: np.complex128}


class Measure(Protocol):
    """Measures confidence; the smaller, the more a strategy wants the row."""

    def of(self, columns: Floats) -> Floats:
        """Return float [n], in the precision of the probabilities, for float [C, n]."""

    def mark(self, block: _Block, border: float) -> None:
        """Note of each lane, in `block.marks`, what `near` is to know of its columns."""

    def near(self, largest: Floats, marks: npt.NDArray[np.integer], border: float) -> npt.NDArray[np.bool_]:
        """Say of each row whether its measure may be at most the border: of all that are, and few others.

        Args:
            largest: float [n, lanes], in [0, _SURE].
            marks: integer [n, lanes].
            border: of the measure.
        """


class Largest:
    """The largest probability."""

    @staticmethod
    def of(columns: Floats) -> Floats:
        """Return the largest of each row."""
        return np.asarray(columns.max(axis=0))

    @staticmethod
    def mark(block: _Block, border: float) -> None:
        """Note nothing."""

    @staticmethod
    def near(largest: Floats, marks: npt.NDArray[np.integer], border: float) -> npt.NDArray[np.bool_]:
        """Say whether no lane's largest is above the border."""
        del marks
        return ~_any(largest > border)


class Gap:
    """The largest probability less the second largest."""

    @staticmethod
    def of(columns: Floats) -> Floats:
        """Return the gap of each row."""
        first, second = two_largest(columns)
        result: Floats = np.subtract(first, second, out=first)
        return result

    @staticmethod
    def mark(block: _Block, border: float) -> None:
        """Count the classes that are within the border of their lane's largest, itself among them.

        That takes two passes of the cheapest kind, where the second largest takes three for each class.
        """
        np.subtract(block.largest, _widened(border, block.largest.dtype), out=block.spare)
        np.greater_equal(block.columns, block.spare[:, np.newaxis], out=block.close)
        np.add.reduce(block.close.view(np.int8), axis=1, dtype=block.marks.dtype, out=block.marks)

    @staticmethod
    def near(largest: Floats, marks: npt.NDArray[np.integer], border: float) -> npt.NDArray[np.bool_]:
        """Say whether two classes are within the border, of one lane or as the largest of two."""
        found = _any(marks > 1)
        if largest.shape[1] == 2:
            apart = largest[:, 0] - largest[:, 1]
            found |= np.abs(apart, out=apart) <= _widened(border, largest.dtype)
        return found


def _widened(border: float, dtype: np.dtype[np.floating]) -> float:
    """Return the border and what rounding may do to numbers up to _SURE."""
    return border + 4 * float(np.finfo(dtype).eps) * (border + _SURE)


def _any(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return whether any is set of [n, lanes]."""
    return flags[:, 0] if flags.shape[1] == 1 else flags.view(np.uint16)[:, 0] != 0


class _Block:
    """Rows of one array that are looked at together, lane by lane; made once and filled again and again.

    Two neighbouring classes of a row-major array are turned as one number of twice the size: row i's even and
    odd classes are then the lanes 2i and 2i + 1. Elsewhere, a row has one lane. Rows are turned tile by tile
    within one call: class after class of a tile is read while its rows are in the first cache.

    Attributes:
        rows: of a tile.
        columns: float [tiles, C / lanes, rows · lanes].
        largest: float [tiles, rows · lanes].
        marks: integer [tiles, rows · lanes].
        spare: float [tiles, rows · lanes], of any content.
        close: bool [tiles, C / lanes, rows · lanes], of any content.
    """

    def __init__(self, probabilities: Floats) -> None:
        classes, dtype = probabilities.shape[1], probabilities.dtype
        row_major = probabilities.strides == (classes * dtype.itemsize, dtype.itemsize)
        self.lanes = 2 if row_major and classes % 2 == 0 else 1
        class_major = probabilities.strides[0] == dtype.itemsize
        self.rows = max(64, (_BLOCK if class_major else _TILE) // (classes * dtype.itemsize))
        self.tiles = max(1, _BLOCK // (classes * dtype.itemsize * self.rows))
        deep, wide = classes // self.lanes, self.rows * self.lanes
        self._bits = BITS[dtype.itemsize]
        one_turned = _PAIR[dtype.itemsize] if self.lanes == 2 else dtype
        self._turned = np.empty((self.tiles, deep, self.rows), one_turned)
        self._all_largest = np.empty((_BLOCKS * self.tiles, wide), dtype)
        self._all_marks: npt.NDArray[np.integer] = np.zeros(
            self._all_largest.shape, np.int8 if deep <= np.iinfo(np.int8).max else np.int64
        )
        self._all_spare = np.empty((self.tiles, wide), dtype)
        self._all_close = np.empty((self.tiles, deep, wide), np.bool_)

    def near(self, part: Floats, measure: Measure, border: float) -> npt.NDArray[np.int64] | None:
        """Return which rows may be at most the border, of up to _BLOCKS · tiles whole tiles.

        None where only measuring tells.
        """
        tiles = part.reshape(-1, self.rows, part.shape[1])
        for start in range(0, len(tiles), self.tiles):
            self._fill(tiles[start : start + self.tiles], start)
            measure.mark(self, border)
        largest, marks = self._all_largest[: len(tiles)], self._all_marks[: len(tiles)]
        # as unsigned integers, floats keep their order, and infinity, NaN and all negative ones lie above
        if largest.view(self._bits).max() > np.array(_SURE, largest.dtype).view(self._bits):
            return None
        shape = (len(part), self.lanes)
        return np.flatnonzero(measure.near(largest.reshape(shape), marks.reshape(shape), border))

    def _fill(self, tiles: Floats, start: int) -> None:
        count = len(tiles)
        here = slice(start, start + count)
        self.largest, self.marks = self._all_largest[here], self._all_marks[here]
        self.spare, self.close = self._all_spare[:count], self._all_close[:count]
        turned = (tiles.view(self._turned.dtype) if self.lanes == 2 else tiles).transpose(0, 2, 1)
        if turned.strides[2] != turned.itemsize:
            np.copyto(self._turned[:count], turned)
            turned = self._turned[:count]
        self.columns = turned.view(tiles.dtype)
        np.maximum.reduce(self.columns.view(self._bits), axis=1, out=self.largest.view(self._bits))


def least(measure: Measure, probabilities: Floats, n: int, workers: int = 0) -> npt.NDArray[np.int64]:
    """Return the positions of the n rows with the smallest measure, of all that tie, and of some more.

    Only what may be below the n-th smallest so far is measured and kept: no array of N numbers is made,
    unless most rows tie.

    Args:
        measure: of a row.
        probabilities: float [N, C].
        n: how many.
        workers: threads; 0 for one per core, as far as each has enough to do.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    size = len(checked(probabilities))
    workers = max(1, min(workers or os.cpu_count() or 1, size // _ROWS_A_WORKER))
    best = _Least(n, probabilities.dtype)
    if probabilities.dtype.itemsize not in BITS:
        _measured(measure, probabilities, range(size), best)
        return best.positions
    blocks = [_Block(probabilities) for _ in range(workers)]
    tile = blocks[0].rows
    first = max(blocks[0].tiles * tile, 2 * n)
    first = min(first + (size - first) % tile, size)  # whole tiles are left
    _measured(measure, probabilities, range(first), best)
    parts = iter(_parts(first, size, blocks[0].tiles * tile))
    if workers == 1:
        _search(blocks[0], measure, probabilities, parts, best)
    else:
        with ThreadPoolExecutor(workers) as threads:
            list(threads.map(lambda block: _search(block, measure, probabilities, parts, best), blocks))
    return np.sort(best.positions)


def _parts(start: int, stop: int, rows: int) -> list[range]:
    """Return the ranges to search one after the other: as many rows again as before, up to _BLOCKS · rows.

    The border falls quickly at first, and what lies below it has to be measured.
    """
    parts = []
    while start < stop:
        step = min(max(1, start // rows), _BLOCKS) * rows
        parts.append(range(start, min(start + step, stop)))
        start += step
    return parts


def _search(
    block: _Block, measure: Measure, probabilities: Floats, parts: Iterator[range], best: _Least
) -> None:
    for rows in parts:
        part = probabilities[rows.start : rows.stop]
        near = block.near(part, measure, best.border)
        if near is None:
            _measured(measure, probabilities, rows, best)
        else:
            best.add(near + rows.start, measure.of(part[near].T))


def _measured(measure: Measure, probabilities: Floats, rows: range, best: _Least) -> None:
    for chunk in chunks(probabilities, rows.start, rows.stop):
        best.add(np.arange(chunk.rows.start, chunk.rows.stop), measure.of(chunk.columns))


class _Least:
    """The n smallest values so far, and all that tie with the n-th, the border; for many threads."""

    def __init__(self, n: int, dtype: np.dtype[np.floating]) -> None:
        self.n, self.border = n, np.inf
        self.values, self.positions = np.empty(0, dtype), np.empty(0, np.int64)
        self._adding = threading.Lock()

    def add(self, positions: npt.NDArray[np.int64], values: Floats) -> None:
        with self._adding:
            near = values <= self.border
            self.values = np.concatenate([self.values, values[near]])
            self.positions = np.concatenate([self.positions, positions[near]])
            if len(self.values) > self.n > 0:
                self.border = float(np.partition(self.values, self.n - 1)[self.n - 1])
                below = self.values <= self.border
                self.values, self.positions = self.values[below], self.positions[below]
