"""Fit monotone curves to noisy learning curves, which fall only by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def rising(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the non-decreasing least-squares fit of each row (isotonic regression), float64 [B, R].

    Uses the min-max formula (Robertson, Wright and Dykstra 1988, theorem 1.4.4). The fit at place i is the
    maximum over all starts a <= i of the minimum over all ends b >= i of the mean of values a to b.

    Args:
        values: float64 [B, R], one curve per row.
    """
    rows, length = values.shape
    sums = np.concatenate([np.zeros((rows, 1)), np.cumsum(values, axis=1)], axis=1)
    fitted = np.full((rows, length), -np.inf)
    for start in range(length):
        means = (sums[:, start + 1 :] - sums[:, start : start + 1]) / np.arange(1, length - start + 1)
        least = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        fitted[:, start:] = np.maximum(fitted[:, start:], least)
    return fitted


def last_reached(
    targets: npt.NDArray[np.float64], places: npt.NDArray[np.int64], fitted: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the last place where each rising curve is at or below its target, float64 [B].

    Curves are linear between places. If a curve is level at the target, the result is the end of that
    stretch, because a level stretch shows no saving.

    Args:
        targets: float64 [B], one target per curve.
        places: int64 [R], ascending, the x values.
        fitted: float64 [B, R], non-decreasing rows, from `rising`.

    Returns:
        The places; `places[0]` for a curve that begins above its target, infinity for one that never reaches
        it.
    """
    level = fitted <= targets[:, np.newaxis] + 1e-12
    below = level.sum(axis=1)  # rows never fall, so the count is also the first place above the target
    length, rows = fitted.shape[1], np.arange(len(fitted))
    before, after = np.clip(below - 1, 0, length - 1), np.clip(below, 0, length - 1)
    low, high = fitted[rows, before], fitted[rows, after]
    part = np.where(high > low, (targets - low) / np.where(high > low, high - low, 1.0), 0.0)
    crossing = places[before] + part * (places[after] - places[before])
    reached = (below < length) | (fitted[:, -1] >= targets - 1e-12)
    return np.where(reached, np.where(below == 0, places[0], crossing), np.inf)
