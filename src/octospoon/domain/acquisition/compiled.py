"""What numpy's passes are too many for, compiled by numba when it is first used (a second)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from octospoon.domain.acquisition.blocks import COLUMNS, ROWS, near_rows

if TYPE_CHECKING:
    import numpy.typing as npt


@numba.njit(nogil=True)
def near(
    rows: npt.NDArray[np.floating],
    start: int,
    stop: int,
    border: np.floating,
    gap: bool,
    found: npt.NDArray[np.int64],
    measures: npt.NDArray[np.floating],
) -> tuple[int, bool]:
    """Find the rows whose largest number, or its gap to the second largest, is at most the border.

    Every number is read once.

    Args:
        rows: float32 or float64 [N, C], C >= 2.
        start: the first row to look at.
        stop: the row after the last.
        border: in the precision of the rows.
        gap: measure the gap, and not the largest alone.
        found: int64 [stop - start or more], gets the rows, from its beginning on.
        measures: of the type of the rows, as long; gets theirs.

    Returns:
        How many were found, and whether the sum of every row is finite; where one is not, what was found is
        worth nothing.
    """
    count, finite, eight = 0, True, np.empty(ROWS, rows.dtype)
    if rows.shape[1] >= COLUMNS and rows.strides[1] == rows.itemsize:
        while start + ROWS <= stop:
            bits, sums = near_rows(rows, start, border, gap, eight)
            finite &= sums
            if bits:  # of few rows
                for j in range(ROWS):
                    if bits >> j & 1:
                        found[count], measures[count] = start + j, eight[j]
                        count += 1
            start += ROWS
    nothing = rows.dtype.type(0)
    for i in range(start, stop):
        first, second = max(rows[i, 0], rows[i, 1]), min(rows[i, 0], rows[i, 1])
        total = rows[i, 0] + rows[i, 1]
        for c in range(2, rows.shape[1]):
            number = rows[i, c]
            total += number
            lower = min(first, number)
            first = max(first, number)
            second = max(second, lower)
        nothing += total * 0
        measure = first - second if gap else first
        # no row's measure decides where the processor goes on
        found[count], measures[count] = i, measure
        count += measure <= border
    return count, finite and nothing == 0
