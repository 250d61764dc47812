"""A search kernel in compiled code: numpy would need many passes over the rows, this needs one.

numba compiles it at the first call, which takes about a second.
"""

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
    positions: npt.NDArray[np.int64],
    measures: npt.NDArray[np.floating],
) -> tuple[int, bool]:
    """Find the rows whose measure is at most the border; see `octospoon.domain.acquisition.least.Near`."""
    count, finite, eight = 0, True, np.empty(ROWS, rows.dtype)
    if rows.shape[1] >= COLUMNS and rows.strides[1] == rows.itemsize:
        while start + ROWS <= stop:
            bits, sums = near_rows(rows, start, border, gap, eight)
            finite &= sums
            if bits:  # rarely: few rows are below the border
                for j in range(ROWS):
                    if bits >> j & 1:
                        positions[count], measures[count] = start + j, eight[j]
                        count += 1
            start += ROWS
    nothing = rows.dtype.type(0)  # stays 0 unless a sum is infinite or NaN
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
        # written in any case and counted only if near, so that no branch depends on the measure
        positions[count], measures[count] = i, measure
        count += measure <= border
    return count, finite and nothing == 0
