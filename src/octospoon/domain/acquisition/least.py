"""The rows with the smallest measure, of many, without an array of N numbers."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from octospoon.domain.acquisition.scores import checked, chunks, two_largest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Near = Callable[[Floats, int, int, np.floating, bool, npt.NDArray[np.int64]], tuple[int, bool]]

ROWS_A_WORKER = 100_000
"""A thread, and the compiler, are worth their start from here on."""
_PART = 1 << 16
_FIRST = 4096


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
    near, best = _compiled(probabilities), _Least(n, probabilities.dtype)
    first = size if near is None else min(max(_FIRST, 2 * n), size)
    _measured(measure, probabilities, range(first), best)
    if near is not None:
        workers = max(1, min(workers or os.cpu_count() or 1, size // ROWS_A_WORKER))
        search = _Search(measure, probabilities, near, iter(_parts(first, size)), best)
        with ThreadPoolExecutor(workers) as threads:
            sound = list(threads.map(lambda _: search(), range(workers)))
        if not all(sound):
            best = _Least(n, probabilities.dtype)
            _measured(measure, probabilities, range(size), best)
    return np.sort(best.positions)


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


@dataclass(frozen=True, slots=True)
class _Search:
    """Searches parts until there are none left; for many threads."""

    measure: Measure
    probabilities: Floats
    near: Near
    parts: Iterator[range]
    best: _Least

    def __call__(self) -> bool:
        """Return False if a sum of some part's numbers is not finite: then only measuring tells."""
        found = np.empty(_PART, np.int64)
        for rows in self.parts:
            border = self.probabilities.dtype.type(self.best.border)
            args = (self.probabilities, rows.start, rows.stop, border, self.measure.gap, found)
            count, finite = self.near(*args)
            if not finite:
                return False
            positions = found[:count].copy()
            self.best.add(positions, self.measure.of(self.probabilities[positions].T))
        return True


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
