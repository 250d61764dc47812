"""Compare learning curves of detectors, at equal numbers of labelled images and at equal numbers of boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.training.evaluation.curves import CONFIDENCE, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from octospoon.training.detector.replay import Point


class Lead(NamedTuple):
    """A mean difference to random in points of AP50, with its interval; NaN if it cannot be told."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.mean):
            return "cannot be told"
        if not np.isfinite(self.low):
            return f"{self.mean:+.1f} (one seed, no interval)"
        return f"{self.mean:+.1f} ({self.low:+.1f} to {self.high:+.1f})"

    @property
    def verdict(self) -> str:
        """Whether a lead is shown."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "not shown"


class Leads(NamedTuple):
    """The leads of a strategy, at equal numbers of images and at equal numbers of boxes."""

    images: Lead
    boxes: Lead


def leads(seeds: Sequence[Mapping[str, Sequence[Point]]], strategy: str, control: str) -> Leads:
    """Return the leads of a strategy over random images.

    Args:
        seeds: for each seed the points of every strategy and of random.
        strategy: its name.
        control: the name of random.
    """
    strategies = len(seeds[0]) - 1

    def over_seeds(difference: Callable[[Sequence[Point], Sequence[Point]], float]) -> Lead:
        return lead(np.array([difference(seed[strategy], seed[control]) for seed in seeds]), strategies)

    return Leads(over_seeds(at_equal_images), over_seeds(at_equal_boxes))


def lead(differences: npt.NDArray[np.float64], strategies: int) -> Lead:
    """Return the mean of paired differences with Student's interval, at 95 % for all strategies together.

    Args:
        differences: float64 [S], one for each seed, as shares.
        strategies: number of intervals that hold together.
    """
    mean = float(100 * differences.mean())
    if len(differences) == 1:
        return Lead(mean, -np.inf, np.inf)
    interval = mean_interval(100 * differences, 1 - (1 - CONFIDENCE) / strategies)
    return Lead(mean, interval.low, interval.high)


def at_equal_images(strategy: Sequence[Point], random: Sequence[Point]) -> float:
    """Return the mean difference in AP50 after the common first round, at equal numbers of images."""
    known = {point.images: point.ap50 for point in random}
    return float(np.mean([point.ap50 - known[point.images] for point in strategy[1:]]))


def at_equal_boxes(strategy: Sequence[Point], random: Sequence[Point]) -> float:
    """Return the same at equal numbers of boxes; random's curve is linear between its rounds.

    Rounds with more boxes than random ever has do not count; NaN if none is left.
    """
    boxes, ap50 = ([getattr(point, name) for point in random] for name in ("boxes", "ap50"))
    level = [
        point.ap50 - np.interp(point.boxes, boxes, ap50) for point in strategy[1:] if point.boxes <= boxes[-1]
    ]
    return float(np.mean(level)) if level else np.nan
