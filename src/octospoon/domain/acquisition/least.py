"""The rows with the smallest measure, of many, without an array of N numbers."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from octospoon.domain.uncertainty import checked, chunks, two_largest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Near = Callable[[Floats, int, int, np.floating, bool, npt.NDArray[np.int64], Floats], tuple[int, bool]]

ROWS_A_WORKER = 100_000
"""A thread, and the compiler, are worth their start from here on."""
_PART = 1 << 16
_FIRST = 4096
_FEW = 256
"""The border is not lowered before there are more new rows than this, or than are wanted."""


class Measure(Protocol):
    """Measures confidence; the smaller, the more a strategy wants the row."""

    @property
    def gap(self) -> bool:
        """Return whether it is the largest probability less the second largest, and not the largest alone."""

    def of(self, columns: Floats) -> Floats:
        """Return float [n], in the precision of the probabilities, for float [C, n]."""


class Largest:
    """The largest probability."""

    gap: ClassVar[bool] = False

    @staticmethod
    def of(columns: Floats) -> Floats:
        """Return the largest of each row."""
        return np.asarray(columns.max(axis=0))


class Gap:
    """The largest probability less the second largest."""

    gap: ClassVar[bool] = True

    @staticmethod
    def of(columns: Floats) -> Floats:
        """Return the gap of each row."""
        first, second = two_largest(columns)
        result: Floats = np.subtract(first, second, out=first)
        return result


def least(measure: Measure, probabilities: Floats, n: int, workers: int = 0) -> npt.NDArray[np.int64]:
    """Return the positions of the n rows with the smallest measure, of all that tie, and of no other.

    Only what may be below the n-th smallest so far is kept: no array of N numbers is made, unless most rows
    tie. Many rows are measured by compiled code where numba is installed, else all by numpy.

    Args:
        measure: of a row.
        probabilities: float [N, C].
        n: how many.
        workers: threads; 0 for one per core, as far as each has enough to do.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    size = len(checked(probabilities))
    near, best = _compiled(probabilities), _Least(n, measure, probabilities)
    first = size if near is None else min(max(_FIRST, 2 * n), size)
    best.measure_all(range(first))
    if near is not None:
        workers = max(1, min(workers or os.cpu_count() or 1, size // ROWS_A_WORKER))
        search = _Search(near, iter(_parts(first, size)), best)
        with ThreadPoolExecutor(workers) as threads:
            sound = list(threads.map(lambda _: search(), range(workers)))
        if not all(sound):
            best = _Least(n, measure, probabilities)
            best.measure_all(range(size))
    return best.positions()


def _compiled(probabilities: Floats) -> Near | None:
    dtype = probabilities.dtype
    if len(probabilities) < ROWS_A_WORKER or dtype.itemsize not in (4, 8) or not dtype.isnative:
        return None
    try:
        from octospoon.domain.acquisition.compiled import near
    except ImportError:
        return None
    compiled: Near = near
    return compiled


def _parts(start: int, stop: int) -> list[range]:
    """Return the ranges to search one after the other: as many rows again as before, up to _PART.

    The border falls quickly at first, and what lies below it is sorted out.
    """
    parts = []
    while start < stop:
        end = min(start + min(start, _PART), stop)
        parts.append(range(start, end))
        start = end
    return parts


class _Least:
    """The rows with the n smallest measures so far, and all that tie with the n-th; for many threads.

    Attributes:
        border: no row with a larger measure is wanted; it only falls.
    """

    def __init__(self, n: int, measure: Measure, probabilities: Floats) -> None:
        self.n, self.measure, self.probabilities, self.border = n, measure, probabilities, np.inf
        self._kept = [(np.empty(0, np.int64), np.empty(0, probabilities.dtype))]
        self._new = 0
        self._adding = threading.Lock()

    def measure_all(self, rows: range) -> None:
        for chunk in chunks(self.probabilities, rows.start, rows.stop):
            measures = self.measure.of(chunk.columns)
            near = np.flatnonzero(measures <= self.border)
            self.add(chunk.rows.start + near, measures[near])

    def add(self, positions: npt.NDArray[np.int64], measures: Floats) -> None:
        """Take rows that were not above the border lately."""
        with self._adding:
            self._kept.append((positions, measures))
            self._new += len(positions)
            if self._new > max(self.n, _FEW):
                self._settle()

    def positions(self) -> npt.NDArray[np.int64]:
        return np.sort(self._settle())

    def _settle(self) -> npt.NDArray[np.int64]:
        """Lower the border, and forget what lies above it; return what is left."""
        positions, measures = (np.concatenate(each) for each in zip(*self._kept, strict=True))
        if len(measures) > self.n > 0:
            self.border = float(np.partition(measures, self.n - 1)[self.n - 1])
            below = measures <= self.border
            positions, measures = positions[below], measures[below]
        self._kept, self._new = [(positions, measures)], 0
        return positions


@dataclass(frozen=True, slots=True)
class _Search:
    """Searches parts until there are none left; for many threads."""

    near: Near
    parts: Iterator[range]
    best: _Least

    def __call__(self) -> bool:
        """Return False if a sum of some part's numbers is not finite: then only measuring tells."""
        rows, gap = self.best.probabilities, self.best.measure.gap
        found, measures = np.empty(_PART, np.int64), np.empty(_PART, rows.dtype)
        for part in self.parts:
            border = rows.dtype.type(self.best.border)
            count, finite = self.near(rows, part.start, part.stop, border, gap, found, measures)
            if not finite:
                return False
            self.best.add(found[:count].copy(), measures[:count].copy())
        return True
