"""Learning curves over many seeds: their intervals, and whether a strategy saves labels against random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from octospoon.domain.evaluation import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy by number of labels.

    Attributes:
        labels: int64 [R], ascending.
        accuracy: float64 [S, R], one row for each seed; row s of every curve saw the same held-out images.
    """

    labels: npt.NDArray[np.int64]
    accuracy: npt.NDArray[np.float64]

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean over the seeds, float64 [R]."""
        result: npt.NDArray[np.float64] = self.accuracy.mean(axis=0)
        return result

    def intervals(self) -> list[Interval]:
        """Return Student's 95 % interval of each mean."""
        return [mean_interval(column) for column in self.accuracy.T]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One strategy against random.

    Attributes:
        labels_share: the labels it needs for random's mean accuracy at the last number of labels, as a share
            of that number; infinite where it never gets there.
        labels_interval: its 95 % interval (percentile bootstrap over seeds; Efron and Tibshirani 1993, 13.3).
        lead: mean difference in accuracy over the whole curve.
        lead_interval: its interval over the paired seeds, at 95 % for all strategies together (Bonferroni).
    """

    labels_share: float
    labels_interval: Interval
    lead: float
    lead_interval: Interval

    @property
    def better(self) -> bool:
        """Whether the lead is certain."""
        return self.lead_interval.low > 0


def mean_interval(values: npt.NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """Return Student's interval of the mean of float64 [S], S >= 2."""
    n = len(values)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(n))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def compare(curve: Curve, control: Curve, strategies: int = 1) -> Comparison:
    """Compare a strategy with random.

    Args:
        curve: of the strategy.
        control: of random labels, with the same seeds and numbers of labels.
        strategies: how many are compared with the same control.
    """
    leads = (curve.accuracy - control.accuracy).mean(axis=1)
    seeds = len(leads)
    drawn = np.random.default_rng(0).integers(0, seeds, (_RESAMPLES, seeds))
    tails = [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2]
    low, high = np.quantile(_shares(curve, control, drawn), tails, method="nearest")
    return Comparison(
        float(_shares(curve, control, np.arange(seeds)[np.newaxis])[0]),
        Interval(float(low), float(high)),
        float(leads.mean()),
        mean_interval(leads, 1 - (1 - CONFIDENCE) / strategies),
    )


def _shares(curve: Curve, control: Curve, drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of labels needed, float64 [B], by the mean curves of the seeds int64 [B, S]."""
    targets = control.accuracy[:, -1][drawn].mean(axis=1)
    means = curve.accuracy[drawn].mean(axis=1)
    return labels_for(targets, curve.labels, means) / float(control.labels[-1])


def labels_for(
    targets: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], accuracy: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the labels at which each curve of float64 [B, R] over int64 [R] first reaches its target [B].

    Linear between measured points; the first point where it is there already, infinity where it never is.
    """
    reached = accuracy >= targets[:, np.newaxis]
    at = reached.argmax(axis=1)
    before, rows = np.maximum(at - 1, 0), np.arange(len(accuracy))
    low, high = accuracy[rows, before], accuracy[rows, at]
    part = np.where(at > 0, (targets - low) / np.where(high > low, high - low, 1.0), 1.0)
    found = labels[before] + part * (labels[at] - labels[before])
    return np.where(reached.any(axis=1), found, np.inf)


def verdict(found: Mapping[str, Comparison], labels: int) -> str:
    """Say in one line which strategies beat random on these data, or plainly that none does.

    Args:
        found: by strategy.
        labels: the number of labels that the shares refer to.
    """
    better = [name for name, one in found.items() if one.better]
    if not better:
        return (
            f"No strategy beats random on these data, as far as {labels} labels and these seeds can tell: "
            "label at random, or try a better backbone."
        )
    best = min(better, key=lambda name: (found[name].labels_share, -found[name].lead))
    return f"{_listed(better)} random on these data; {best} {saving(found[best], labels)}."


def saving(one: Comparison, labels: int) -> str:
    """Say what a strategy needs for random's accuracy at `labels` labels."""
    if one.labels_share == np.inf:
        return f"does not reach random's accuracy at {labels} labels"
    return (
        f"reaches random's accuracy at {labels} labels with {one.labels_share:.0%} of them "
        f"(95 % interval {_percent(one.labels_interval.low)} to {_percent(one.labels_interval.high)})"
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} beats"
    return ", ".join(names[:-1]) + f" and {names[-1]} beat"


def _percent(share: float) -> str:
    return "more than 100 %" if share == np.inf else f"{share:.0%}"
