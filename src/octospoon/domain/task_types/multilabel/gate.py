"""Compare two models with one sigmoid per class on the audit images: what the promotion gate asks.

Macro F1 is no mean over images, so its difference gets a paired bootstrap over the images: both models are
measured on the same resample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.domain.evaluation.gate_checks import NO_AUDIT, Decision, shown_mean
from octospoon.domain.evaluation.metrics import Interval, paired_difference
from octospoon.domain.task_types.multilabel import metrics
from octospoon.domain.task_types.multilabel.predictions import THRESHOLD
from octospoon.domain.task_types.multilabel.resampling import drawn, macro_f1s

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.evaluation.gate_checks import Answers, Rules

    Floats = npt.NDArray[np.floating]
    Targets = npt.NDArray[np.int64]

_RESAMPLES = 1000


class Difference(NamedTuple):
    """The difference of two models' macro F1 on the same images.

    Attributes:
        new: macro F1 of the challenger.
        old: that of the champion.
        error: standard error of new - old, by the bootstrap.
        interval: its 95 % percentile interval.
    """

    new: float
    old: float
    error: float
    interval: Interval

    @property
    def value(self) -> float:
        """The difference, positive if the challenger is better."""
        return self.new - self.old


def paired_bootstrap(new: Floats, old: Floats, targets: Targets) -> Difference:
    """Compare macro F1 by a paired bootstrap over the images (Efron and Tibshirani 1993, chapter 16).

    Args:
        new: float [N, C], N >= 1, probabilities of the challenger.
        old: float [N, C], those of the champion.
        targets: int [N, C].
    """
    weights = drawn(len(targets), _RESAMPLES)
    resampled = macro_f1s(new, targets, weights) - macro_f1s(old, targets, weights)
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    figures = metrics.macro_f1(new, targets), metrics.macro_f1(old, targets)
    return Difference(*figures, float(resampled.std(ddof=1)), Interval(low, high))


def invalid(challenger: Answers, n: int) -> list[str]:
    """Check that the challenger gives probabilities: finite, of the right shape, between 0 and 1."""
    spec, probabilities = challenger.spec, challenger.probabilities
    if not spec.has_head or probabilities is None:
        return ["the new model has no classes"]
    if probabilities.shape != (n, len(spec.classes)):
        return [f"the new model answers {probabilities.shape} for {n} images of {len(spec.classes)} classes"]
    if not np.isfinite(probabilities).all():
        return ["the new model gives probabilities that are not finite"]
    if n and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        return ["the new model's probabilities are not between 0 and 1"]
    return []


def unlike_its_judges(challenger: Answers, targets: Targets, rules: Rules) -> list[str]:
    """Check that the served head is no worse than the fold heads that are judged in its place."""
    if challenger.served is None or challenger.probabilities is None or not len(targets):
        return []
    difference = paired_bootstrap(challenger.served, challenger.probabilities, targets)
    if difference.value + rules.standard_errors * difference.error >= -rules.margin:
        return []
    return [
        f"the served head has a lower macro F1 ({difference.new:.3f}) on audit images that it was trained on "
        f"than heads that have not seen them ({difference.old:.3f}): the file and its training record do not "
        "match"
    ]


def first(challenger: Floats, targets: Targets, rules: Rules) -> Decision:
    """Judge the first model with classes: it must beat the frequencies of the classes."""
    if len(targets):
        shares = (targets.sum(axis=0) + 1.0) / (len(targets) + 2.0)
        guessed = metrics.losses(np.broadcast_to(shares, challenger.shape), targets)
        if shown_mean(metrics.losses(challenger, targets) - guessed, rules) > 0:
            reason = f"worse than guessing by frequency on {len(targets)} audit images"
            return Decision(promote=False, reasons=(reason,))
    return Decision(promote=True, reasons=("the first model with classes: nothing to compare it with",))


def successor(challenger: Answers, champion: Answers, targets: Targets, rules: Rules) -> Decision:
    """Judge a model on the classes that both models know, and its new classes apart."""
    known = champion.spec.classes
    new, old, truth = _shared(challenger, champion, targets)
    if not len(truth):
        return Decision(promote=False, reasons=(NO_AUDIT,))
    reasons, notes = _new_classes(challenger, known, targets, rules)
    difference = paired_bootstrap(new, old, truth)
    comparison = (
        f"macro F1 {difference.new:.3f} against {difference.old:.3f} on {len(truth)} audit images "
        f"(difference {difference.value:+.3f}, 95 % interval {difference.interval.low:+.3f} to "
        f"{difference.interval.high:+.3f})"
    )
    if difference.value + rules.standard_errors * difference.error < -rules.margin:
        reasons.append(f"worse than the model in service: {comparison}")
    reasons += _lost_classes(known, new, old, truth, rules)
    reasons += _worse_calibrated(new, old, truth, rules)
    return Decision(promote=not reasons, reasons=(*(reasons or [comparison]), *notes))


def _shared(challenger: Answers, champion: Answers, targets: Targets) -> tuple[Floats, Floats, Targets]:
    """Return both models' probabilities and the targets, of the champion's classes and judged images."""
    new, old = np.asarray(challenger.probabilities), np.asarray(champion.probabilities)
    judged = np.isfinite(old).all(axis=1)
    kept = [challenger.spec.classes.index(name) for name in champion.spec.classes]
    return new[judged][:, kept], old[judged], targets[judged][:, kept]


def _new_classes(
    challenger: Answers, known: tuple[str, ...], targets: Targets, rules: Rules
) -> tuple[list[str], list[str]]:
    """Check that new classes are not predicted for most images without them; return reasons and notes."""
    predicted = np.asarray(challenger.probabilities) >= THRESHOLD
    reasons, notes = [], []
    for at, name in enumerate(challenger.spec.classes):
        if name in known:
            continue
        present = targets[:, at] == 1
        rightly, falsely = predicted[present, at], predicted[~present, at]
        notes.append(
            f"new class {name}: {int(rightly.sum())} of {len(rightly)} audit images recognised, "
            f"{int(falsely.sum())} of {len(falsely)} others mistaken for it"
        )
        if shown_mean(falsely.astype(np.float64), rules) > rules.mistaken:
            reasons.append(f"most images without {name} are mistaken for it")
    return reasons, notes


def _lost_classes(
    classes: tuple[str, ...], new: Floats, old: Floats, targets: Targets, rules: Rules
) -> list[str]:
    """Check that no class is found less often, or falsely predicted more often, beyond the margin."""
    right, before = metrics.hits(new, targets), metrics.hits(old, targets)
    reasons = []
    for at, name in enumerate(classes):
        there = targets[:, at] == 1
        parts = {f"recall of {name}": there, f"the share of images rightly without {name}": ~there}
        for what, kept in parts.items():
            pair = right[kept, at], before[kept, at]
            if paired_difference(*pair, rules.recall_standard_errors).high < -rules.recall_margin:
                reasons.append(
                    f"{what} fell from {pair[1].mean():.3f} to {pair[0].mean():.3f} on {int(kept.sum())} "
                    "audit images"
                )
    return reasons


def _worse_calibrated(new: Floats, old: Floats, targets: Targets, rules: Rules) -> list[str]:
    """Check log loss and overconfidence."""
    reasons = []
    increase = metrics.losses(new, targets) - metrics.losses(old, targets)
    if shown_mean(increase, rules) > rules.log_loss_margin:
        reasons.append(f"log loss rose by {increase.mean():.3f} nats on {len(targets)} audit images")
    excess, before = metrics.excess(new, targets), metrics.excess(old, targets)
    if shown_mean(excess, rules) > rules.overconfidence and excess.mean() > before.mean():
        reasons.append(f"overconfident: mean confidence is {excess.mean():.3f} above accuracy")
    return reasons
