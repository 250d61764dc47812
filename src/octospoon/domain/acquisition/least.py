"""Find the rows with the smallest measure among many rows, without an array of N numbers.

The search keeps a border: the n-th smallest measure so far. A row above it cannot be among the n smallest, so
it is dropped at once. The border only falls, so a stale value is still safe: it keeps too many rows and never
too few. That is why threads may read it without a lock.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from octospoon.domain.uncertainty import checked, chunks, two_largest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

ROWS_A_WORKER = 100_000
"""Number of rows from which a thread, and compiled code, save more time than they take to start."""
_PART = 1 << 16
_FIRST = 4096
_FEW = 256
"""The border is lowered when there are more new rows than this and than n. Each time costs a partition of all
kept rows."""


class Near(Protocol):
    """A compiled search of a range of rows; `octospoon.domain.acquisition.compiled.near` is one."""

    def __call__(
        self,
        rows: Floats,
        start: int,
        stop: int,
        border: np.floating,
        gap: bool,
        positions: npt.NDArray[np.int64],
        measures: Floats,
        /,
    ) -> tuple[int, bool]:
        """Find the rows whose largest number, or its gap to the second largest, is at most the border.

        It reads every number once.

        Args:
            rows: float32 or float64 [N, C], C >= 2.
            start: the first row to look at.
            stop: the row after the last.
            border: in the precision of the rows.
            gap: True to measure the gap, False for the largest number.
            positions: int64 [stop - start or more], receives the positions of the rows at its beginning.
            measures: of the type of the rows, as long; receives their measures.

        Returns:
            The number of rows, and whether the sum of every row read is finite. If it is not, a number is
            infinite or NaN, and the rows are not valid.
        """


class Measure(Protocol):
    """A measure of confidence; a strategy prefers the rows with the smallest."""

    @property
    def gap(self) -> bool:
        """True if the measure is the largest probability minus the second, False if it is the largest."""

    def of(self, columns: Floats) -> Floats:
        """Return float [n], in the precision of the probabilities, for float [C, n]."""


class Largest:
    """The largest probability."""

    gap: ClassVar[bool] = False

    @staticmethod
    def of(columns: Floats) -> Floats:
        """Return the largest probability, float [n], of float [C, n]."""
        return np.asarray(columns.max(axis=0))


class Gap:
    """The largest probability minus the second largest."""

    gap: ClassVar[bool] = True

    @staticmethod
    def of(columns: Floats) -> Floats:
        """Return the gap, float [n], of float [C, n]."""
        first, second = two_largest(columns)
        result: Floats = np.subtract(first, second, out=first)
        return result


def least(measure: Measure, probabilities: Floats, n: int, workers: int = 0) -> npt.NDArray[np.int64]:
    """Return the positions of the n rows with the smallest measure, and of all rows that tie with the n-th.

    Only rows that can be among the n smallest are kept, so there is no array of N numbers unless most rows
    tie. Compiled code searches large arrays if numba is installed; otherwise numpy measures every row.

    Args:
        measure: of a row.
        probabilities: float [N, C].
        n: number of rows.
        workers: number of threads; 0 for one per core, or fewer if there are not ROWS_A_WORKER rows for each.

    Returns:
        int64, ascending, at least min(n, N) positions.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    size = len(checked(probabilities))
    near, best = _compiled(probabilities), _Least(n, measure, probabilities)
    first = size if near is None else min(max(_FIRST, 2 * n), size)
    # numpy measures the first rows, so that the compiled search starts with a border
    best.measure_all(range(first))
    if near is not None:
        workers = max(1, min(workers or os.cpu_count() or 1, size // ROWS_A_WORKER))
        search = _Search(near, iter(_parts(first, size)), best)
        with ThreadPoolExecutor(workers) as threads:
            sound = list(threads.map(lambda _: search(), range(workers)))
        if not all(sound):
            # A sum is not finite: a number is infinite or NaN, or finite numbers overflowed. Measuring all
            # rows again raises an error that names the row, or gives the right result.
            best = _Least(n, measure, probabilities)
            best.measure_all(range(size))
    return best.positions()


def _compiled(probabilities: Floats) -> Near | None:
    """Return the compiled search, or None for small arrays, other types of numbers, or without numba."""
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
    """Return the ranges to search in order: each doubles the rows searched so far, up to _PART at once.

    The border falls fast at first. Small first parts let it fall before most of the rows are searched.
    """
    parts = []
    while start < stop:
        end = min(start + min(start, _PART), stop)
        parts.append(range(start, end))
        start = end
    return parts


class _Least:
    """The rows with the n smallest measures so far, and all that tie with the n-th; safe for threads.

    Attributes:
        border: rows with a larger measure cannot be in the result; it only falls.
    """

    def __init__(self, n: int, measure: Measure, probabilities: Floats) -> None:
        self.n, self.measure, self.probabilities, self.border = n, measure, probabilities, np.inf
        self._kept = [(np.empty(0, np.int64), np.empty(0, probabilities.dtype))]
        self._new = 0
        self._adding = threading.Lock()

    def measure_all(self, rows: range) -> None:
        """Measure every row of a range with numpy."""
        for chunk in chunks(self.probabilities, rows.start, rows.stop):
            measures = self.measure.of(chunk.columns)
            near = np.flatnonzero(measures <= self.border)
            self.add(chunk.rows.start + near, measures[near])

    def add(self, positions: npt.NDArray[np.int64], measures: Floats) -> None:
        """Add rows, int64 [m] and float [m], that were not above the border when it was last read."""
        with self._adding:
            self._kept.append((positions, measures))
            self._new += len(positions)
            if self._new > max(self.n, _FEW):
                self._prune()

    def positions(self) -> npt.NDArray[np.int64]:
        """Return the positions of the result, ascending."""
        return np.sort(self._prune())

    def _prune(self) -> npt.NDArray[np.int64]:
        """Lower the border, drop the rows above it, and return the positions of the rest."""
        positions, measures = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        if len(measures) > self.n > 0:
            self.border = float(np.partition(measures, self.n - 1)[self.n - 1])
            below = measures <= self.border
            positions, measures = positions[below], measures[below]
        self._kept, self._new = [(positions, measures)], 0
        return positions


@dataclass(frozen=True, slots=True)
class _Search:
    """The work of one thread: take the next part and search it, until no part is left.

    The threads share `parts`. `next` of a list iterator is atomic, so each part is searched once.
    """

    near: Near
    parts: Iterator[range]
    best: _Least

    def __call__(self) -> bool:
        """Search parts; return False if the sum of a row is not finite, so that the result is not valid."""
        rows, gap = self.best.probabilities, self.best.measure.gap
        positions, measures = np.empty(_PART, np.int64), np.empty(_PART, rows.dtype)
        for part in self.parts:
            border = rows.dtype.type(self.best.border)
            count, finite = self.near(rows, part.start, part.stop, border, gap, positions, measures)
            if not finite:
                return False
            self.best.add(positions[:count].copy(), measures[:count].copy())
        return True
