"""The monotone curve that fits noisy measurements best: a learning curve cannot fall but by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def rising(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the least-squares fit that never falls, of each row of float64 [B, R].

    By the min-max formula (Robertson, Wright and Dykstra 1988, theorem 1.4.4): at each place the greatest,
    over all starts up to it, of the least mean from there to any end behind it.
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
    """Return where each rising curve of float64 [B, R] over int64 [R] has its target [B] behind it.

    Linear between measured points. Along a level stretch at the target, its end: what stands still shows no
    saving. The first place where the curve begins above the target, infinity where it never comes up to it.
    """
    level = fitted <= targets[:, np.newaxis] + 1e-12
    below = level.sum(axis=1)  # a rising curve is at or below its target up to some place
    length, rows = fitted.shape[1], np.arange(len(fitted))
    before, after = np.clip(below - 1, 0, length - 1), np.clip(below, 0, length - 1)
    low, high = fitted[rows, before], fitted[rows, after]
    part = np.where(high > low, (targets - low) / np.where(high > low, high - low, 1.0), 0.0)
    found = places[before] + part * (places[after] - places[before])
    reached = (below < length) | (fitted[:, -1] >= targets - 1e-12)
    return np.where(reached, np.where(below == 0, places[0], found), np.inf)
