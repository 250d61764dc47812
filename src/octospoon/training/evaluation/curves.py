"""Compare learning curves over many seeds: their intervals, and the labels that a strategy saves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import stdtrit

from octospoon.domain.evaluation import isotonic
from octospoon.domain.evaluation.metrics import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy, or another metric, by number of labels.

    Attributes:
        labels: int64 [R], ascending.
        accuracy: float64 [S, R], one row per seed; row s of every curve uses the same held-out images.
        balanced: float64 [S, R], balanced accuracy (the mean recall of the classes); None if not measured.
        metric: in words.
    """

    labels: npt.NDArray[np.int64]
    accuracy: npt.NDArray[np.float64]
    balanced: npt.NDArray[np.float64] | None = None
    metric: str = "accuracy"

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean over the seeds, float64 [R]."""
        result: npt.NDArray[np.float64] = self.accuracy.mean(axis=0)
        return result

    def at(self, labels: npt.NDArray[np.int64]) -> Curve:
        """Return the curve at some of its numbers of labels, int64 [K], ascending."""
        places = np.searchsorted(self.labels, labels)
        balanced = None if self.balanced is None else self.balanced[:, places]
        return Curve(labels, self.accuracy[:, places], balanced, self.metric)

    def intervals(self) -> list[Interval]:
        """Return Student's 95 % interval of each mean."""
        return [mean_interval(column) for column in self.accuracy.T]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A strategy compared with random.

    Attributes:
        labels_share: labels that the strategy needs for random's accuracy at the last number of labels, as a
            share of that number, by monotone fits of both mean curves. Infinite if it never reaches that
            accuracy. NaN if random's accuracy does not certainly rise, because then a number of labels has no
            meaning.
        labels_interval: its 95 % interval (percentile bootstrap over seeds; Efron and Tibshirani 1993, 13.3).
        lead: mean difference in accuracy over the whole curve.
        lead_interval: its interval over the paired seeds, at 95 % for all strategies together (Bonferroni).
        balanced_lead: the same difference in balanced accuracy; None if not measured.
        balanced_interval: its interval.
    """

    labels_share: float
    labels_interval: Interval
    lead: float
    lead_interval: Interval
    balanced_lead: float | None = None
    balanced_interval: Interval | None = None

    @property
    def better(self) -> bool:
        """True if the strategy is certainly better than random."""
        return self.lead_interval.low > 0

    @property
    def worse(self) -> bool:
        """True if the strategy is certainly worse than random."""
        return self.lead_interval.high < 0

    @property
    def less_balanced(self) -> bool:
        """True if the strategy is certainly worse than random in balanced accuracy."""
        return self.balanced_interval is not None and self.balanced_interval.high < 0


def mean_interval(values: npt.NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """Return Student's t interval of the mean of float64 [S], S >= 2."""
    n = len(values)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(n))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def compare(curve: Curve, control: Curve, strategies: int = 1) -> Comparison:
    """Compare a strategy with random.

    Args:
        curve: the strategy's curve.
        control: the curve of random labels, with the same seeds and numbers of labels.
        strategies: number of strategies that are compared with this control.
    """
    confidence = 1 - (1 - CONFIDENCE) / strategies
    leads = (curve.accuracy - control.accuracy).mean(axis=1)
    share, interval = _labels_share(curve, control)
    balanced = None
    if curve.balanced is not None and control.balanced is not None:
        balanced = (curve.balanced - control.balanced).mean(axis=1)
    return Comparison(
        share,
        interval,
        float(leads.mean()),
        mean_interval(leads, confidence),
        None if balanced is None else float(balanced.mean()),
        None if balanced is None else mean_interval(balanced, confidence),
    )


def _labels_share(curve: Curve, control: Curve) -> tuple[float, Interval]:
    """Return the share of labels needed and its interval; NaN if random does not certainly improve."""
    rise = mean_interval(control.accuracy[:, -1] - control.accuracy[:, 0])
    if not rise.low > 0:
        return np.nan, Interval(np.nan, np.nan)
    seeds = len(curve.accuracy)
    low, high = _interval(_shares(curve, control, _resampled(seeds)))
    share = _shares(curve, control, np.arange(seeds)[np.newaxis])[0]
    return float(share), Interval(low, high)


def _resampled(seeds: int) -> npt.NDArray[np.int64]:
    """Return the seeds of each resample, int64 [_RESAMPLES, S]."""
    return np.random.default_rng(0).integers(0, seeds, (_RESAMPLES, seeds))


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentiles that bound the 95 % interval of float64 [B], which may hold infinity."""
    low, high = np.quantile(values, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2], method="nearest")
    return float(low), float(high)


def _shares(curve: Curve, control: Curve, drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of labels needed, float64 [B], from the mean curves of the seeds int64 [B, S]."""
    ours, theirs = (isotonic.rising(points.accuracy[drawn].mean(axis=1)) for points in (curve, control))
    return isotonic.last_reached(theirs[:, -1], curve.labels, ours) / float(control.labels[-1])


class Until(NamedTuple):
    """The number of labels with which a curve reaches an accuracy.

    Attributes:
        labels: by a monotone fit of the mean curve; infinite if the accuracy is not reached.
        interval: its 95 % interval; its bounds may be infinite.
    """

    labels: float
    interval: Interval


def labels_until(curve: Curve, accuracy: float) -> Until:
    """Return how many labels a curve needs for an accuracy, with an interval as in `Comparison`.

    A curve that begins above the accuracy needs no more than its first number of labels.
    """
    seeds = len(curve.accuracy)
    low, high = _interval(_untils(curve, accuracy, _resampled(seeds)))
    labels = _untils(curve, accuracy, np.arange(seeds)[np.newaxis])[0]
    return Until(float(labels), Interval(low, high))


def _untils(curve: Curve, accuracy: float, drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the numbers of labels, float64 [B], from the mean curves of the seeds int64 [B, S]."""
    fitted = isotonic.rising(curve.accuracy[drawn].mean(axis=1))
    return isotonic.last_reached(np.full(len(drawn), accuracy), curve.labels, fitted)


def on_common_labels(curve: Curve, other: Curve) -> tuple[Curve, Curve]:
    """Return two curves at the numbers of labels that both have."""
    common = np.intersect1d(curve.labels, other.labels)
    return curve.at(common), other.at(common)


def best(comparisons: Mapping[str, Comparison]) -> str:
    """Return the strategy that is certainly better than random and needs fewest labels; empty if none is."""
    better = {name: comparison for name, comparison in comparisons.items() if comparison.better}
    return min(
        better, key=lambda name: (_sortable(better[name].labels_share), -better[name].lead), default=""
    )


def verdict(comparisons: Mapping[str, Comparison], labels: int, metric: str = "accuracy") -> str:
    """Return a text that says which strategies beat random on these data, and which are worse.

    Args:
        comparisons: the comparison with random, by strategy.
        labels: the number of labels that the shares refer to.
        metric: of the curves, in words.
    """
    better = [name for name, comparison in comparisons.items() if comparison.better]
    worse = [name for name, comparison in comparisons.items() if comparison.worse]
    unbalanced = [
        name for name, comparison in comparisons.items() if comparison.less_balanced and not comparison.worse
    ]
    sentences = []
    if better:
        first = best(comparisons)
        sentences.append(
            f"{_listed(better, 'beats', 'beat')} random on these data; "
            f"{first} {saving(comparisons[first], labels, metric)}."
        )
    else:
        sentences.append(
            f"No strategy beats random on these data, as far as {labels} labels and these seeds can tell: "
            "label at random, or try a better backbone."
        )
    if worse:
        sentences.append(f"{_listed(worse, 'is', 'are')} significantly worse than random.")
    if unbalanced:
        sentences.append(
            f"{_listed(unbalanced, 'has', 'have')} significantly lower balanced accuracy than random: it "
            "recognises rare classes less often."
        )
    return " ".join(sentences)


def saving(comparison: Comparison, labels: int, metric: str = "accuracy") -> str:
    """Return a text that says how many labels a strategy needs for random's metric at `labels` labels."""
    if np.isnan(comparison.labels_share):
        return f"needs an unknown number of labels: random's {metric} does not rise up to {labels} labels"
    if comparison.labels_share == np.inf:
        return f"does not reach random's {metric} at {labels} labels"
    low, high = comparison.labels_interval.low, comparison.labels_interval.high
    return (
        f"reaches random's {metric} at {labels} labels with {comparison.labels_share:.0%} of them "
        f"(95 % interval {_percent(low)} to {_percent(high)})"
    )


def _sortable(share: float) -> float:
    return np.inf if np.isnan(share) else share


def _listed(names: Sequence[str], singular: str, plural: str) -> str:
    """Return the names and a verb form that agrees with their number."""
    if len(names) == 1:
        return f"{names[0]} {singular}"
    return ", ".join(names[:-1]) + f" and {names[-1]} {plural}"


def _percent(share: float) -> str:
    return "more than 100 %" if share == np.inf else f"{share:.0%}"
