"""Recommend a backbone, a strategy and a batch size from simulated learning curves.

Nothing is recommended that is not shown to be better: a difference counts if its interval over the seeds
excludes zero. Otherwise the first backbone, the first batch size or random labels stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from octospoon.domain.batch.compose import CONTROL
from octospoon.training.evaluation.curves import (
    Curve,
    Until,
    best,
    compare,
    labels_until,
    on_common_labels,
    saving,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.training.evaluation.curves import Comparison

AS_GOOD = 0.01
"""Accuracy that a larger batch may surely lose: it saves rounds of labelling and training."""

T = TypeVar("T", bound=str | int)


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """What was chosen among alternatives.

    Attributes:
        chosen: one of the alternatives.
        first: the alternative that the others were compared with.
        comparisons: of each other alternative with the first.
    """

    chosen: T
    first: T
    comparisons: Mapping[T, Comparison]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do, and what to expect of it.

    Attributes:
        strategy: random if no other is shown to be better.
        backbone: its name or file.
        batch: images per round; it has no influence on random labels.
        target: the accuracy that was asked for; None if none was.
        labels: with which the strategy reaches the target; None without a target.
        random_labels: with which random reaches the target; None without a target.
        sentence: all of it in words.
    """

    strategy: str
    backbone: str
    batch: int
    target: float | None
    labels: Until | None
    random_labels: Until | None
    sentence: str


def choose_backbone(curves: Mapping[str, Curve]) -> Choice[str]:
    """Choose the backbone with the best head for the same random labels; the first if none is shown better.

    Args:
        curves: of random labels with the same seeds, by backbone; the first is kept in case of doubt.
    """
    first, comparisons = _with_first(curves)
    better = [
        name for name, comparison in comparisons.items() if comparison.better and not comparison.less_balanced
    ]
    return Choice(max(better, key=lambda name: comparisons[name].lead, default=first), first, comparisons)


def choose_strategy(comparisons: Mapping[str, Comparison]) -> str:
    """Choose the strategy that saves most labels; random if none is shown better and none the less balanced.

    Args:
        comparisons: with random, by strategy.
    """
    return (
        best({name: comparison for name, comparison in comparisons.items() if not comparison.less_balanced})
        or CONTROL
    )


def choose_batch(curves: Mapping[int, Curve]) -> Choice[int]:
    """Choose the batch size of a strategy.

    A smaller batch than the first must be shown to be better. If none is, the largest batch is chosen that is
    shown to lose less than AS_GOOD against the first.

    Args:
        curves: with the same seeds, by images per round; the first is kept in case of doubt.
    """
    first, comparisons = _with_first(curves)
    better = [size for size, comparison in comparisons.items() if size < first and comparison.better]
    if better:
        return Choice(max(better, key=lambda size: comparisons[size].lead), first, comparisons)
    as_good = [size for size, comparison in comparisons.items() if size > first and _as_good(comparison)]
    return Choice(max(as_good, default=first), first, comparisons)


def _as_good(comparison: Comparison) -> bool:
    """Return whether accuracy surely loses less than AS_GOOD, and balanced accuracy not surely more."""
    balanced = comparison.balanced_interval
    return comparison.lead_interval.low > -AS_GOOD and (balanced is None or balanced.high > -AS_GOOD)


def _with_first(curves: Mapping[T, Curve]) -> tuple[T, dict[T, Comparison]]:
    first, *others = curves
    pairs = {name: on_common_labels(curves[name], curves[first]) for name in others}
    return first, {name: compare(ours, theirs, len(others)) for name, (ours, theirs) in pairs.items()}


def recommend(
    strategy: str, backbone: str, batch: int, curve: Curve, control: Curve, target: float | None
) -> Recommendation:
    """Put a recommendation into words.

    Args:
        strategy: the chosen one.
        backbone: its name or file.
        batch: images per round.
        curve: of the strategy, in batches of this size; that of random if no strategy is better.
        control: of random labels, with the same seeds.
        target: an accuracy to reach, in (0, 1); None if there is none.
    """
    last, seeds = int(control.labels[-1]), len(control.accuracy)
    labels = None if target is None else labels_until(curve, target)
    random = None if target is None else labels_until(control, target)
    if strategy == CONTROL:
        advice = f"Label at random on {backbone}, in batches of any size"
        outcome = f"no strategy is shown to be better within {last} labels and {seeds} seeds"
        if target is not None and random is not None:
            outcome += f", and random {_reached(random, control, _level(control, target))}"
    else:
        advice = f"Label with {strategy} on {backbone}, in batches of {batch}"
        if target is None or labels is None or random is None:
            outcome = f"it {saving(compare(*on_common_labels(curve, control)), last, curve.metric)}"
        else:
            outcome = f"it {_reached(labels, curve, _level(curve, target))}"
            outcome += f", and random {_reached(random, control, 'it')}"
    return Recommendation(strategy, backbone, batch, target, labels, random, f"{advice}: {outcome}.")


def _level(curve: Curve, target: float) -> str:
    article = "an" if curve.metric[0] in "aeiou" else "a"
    return f"{article} {curve.metric} of {target:.4g}"


def _reached(until: Until, curve: Curve, accuracy: str) -> str:
    """Return with how many labels a curve reaches an accuracy, with a verb."""
    first, last = int(curve.labels[0]), int(curve.labels[-1])
    low, high = until.interval.low, until.interval.high
    if until.labels == np.inf:
        return f"is not shown to reach {accuracy} within {last} labels"
    if high == np.inf:
        return (
            f"may reach {accuracy} with {until.labels:.0f} labels, but {last} may be too few "
            f"(95 % interval {low:.0f} to more than {last})"
        )
    if high <= first:
        return f"reaches {accuracy} with {first} labels or fewer"
    return f"reaches {accuracy} with {until.labels:.0f} labels (95 % interval {low:.0f} to {high:.0f})"
