"""Compute intervals of proportions, and of the difference of two proportions on the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, ends included."""

    low: float
    high: float


def wilson(correct: float, n: float, z: float = 1.959964) -> Interval:
    """Return the score interval of a proportion (Wilson 1927, doi 10.1080/01621459.1927.10502953).

    Args:
        correct: number of successes; may be fractional if n is an effective sample size.
        n: number of trials; 0 gives [0, 1].
        z: standard normal quantile, 1.96 for 95 %.
    """
    if n == 0:
        return Interval(0.0, 1.0)
    share, shrink = correct / n, 1.0 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(max(0.0, share * (1 - share)) / n + z * z / (4 * n * n))
    # The formula gives exactly 0 and 1 at the ends, but rounding could exclude them.
    low = max(0.0, centre - half) if correct > 0 else 0.0
    return Interval(low, min(1.0, centre + half) if correct < n else 1.0)


def paired_difference(
    challenger: npt.NDArray[np.bool_], champion: npt.NDArray[np.bool_], z: float = 1.959964
) -> Interval:
    """Return the interval of accuracy(challenger) - accuracy(champion) on the same images.

    This is Wald's interval for paired proportions with half a count added to each of the four cells
    (Agresti and Min 2005, doi 10.1002/sim.1781). The added counts keep its coverage for few images.

    Args:
        challenger: bool [N], whether each prediction of the challenger is right.
        champion: bool [N], the same for the champion on the same images.
        z: standard normal quantile, 1.96 for 95 %.
    """
    n = len(challenger) + 2.0
    gained = float(np.sum(challenger & ~champion)) + 0.5
    lost = float(np.sum(~challenger & champion)) + 0.5
    difference = (gained - lost) / n
    half = z * math.sqrt(gained + lost - (gained - lost) ** 2 / n) / n
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))
