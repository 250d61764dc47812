"""Pair rows with columns so that the sum of their gains is as large as it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def pairs(gains: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs with the largest sum of gains, by ascending row; no row or column is in two pairs.

    Pairs that compete with no other are taken first, because boxes seldom compete. The Hungarian method
    (Kuhn 1955, doi 10.1002/nav.3800020109) pairs the others.

    Args:
        gains: float64 [R, C], >= 0. A pair without a gain is never made.
    """
    positive = gains > 0
    alone = positive & (positive.sum(axis=1, keepdims=True) == 1) & (positive.sum(axis=0) == 1)
    taken = [(int(row), int(column)) for row, column in np.argwhere(alone)]
    rows = np.flatnonzero((positive & ~alone).any(axis=1))
    columns = np.flatnonzero((positive & ~alone).any(axis=0))
    if len(rows):
        inner = gains[np.ix_(rows, columns)]
        taken += [(int(rows[r]), int(columns[c])) for r, c in _hungarian(inner) if inner[r, c] > 0]
    return sorted(taken)


def _hungarian(gains: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return pairs of each row, or of each column if there are fewer columns, with the largest sum.

    Rows are added one by one. Each extends the pairs along a shortest path, which the potentials of rows and
    columns keep free of negative lengths (Jonker and Volgenant 1987, doi 10.1007/BF02278710).
    """
    if gains.shape[0] > gains.shape[1]:
        return [(row, column) for column, row in _hungarian(gains.T)]
    count, width = gains.shape
    of_row, of_column = np.zeros(count), np.zeros(width)
    owner = np.full(width, -1)
    for row in range(count):
        distance, before = np.full(width, np.inf), np.full(width, -1)
        done, column, current = np.zeros(width, bool), -1, row
        while current >= 0:
            base = distance[column] if column >= 0 else 0.0
            lengths = base - gains[current] - of_row[current] - of_column
            shorter = ~done & (lengths < distance)
            distance[shorter], before[shorter] = lengths[shorter], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            done[column], current = True, int(owner[column])
        end = distance[column]
        visited = done & (np.arange(width) != column)
        of_row[row] += end
        of_row[owner[visited]] += end - distance[visited]
        of_column[visited] += distance[visited] - end
        while column >= 0:
            earlier = int(before[column])
            owner[column] = row if earlier < 0 else owner[earlier]
            column = earlier
    return [(int(owner[column]), column) for column in np.flatnonzero(owner >= 0).tolist()]
