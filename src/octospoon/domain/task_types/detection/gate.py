"""Compare two detectors on the audit images: what the promotion gate asks about them.

Average precision is no mean over images, so its difference gets a paired bootstrap over the images: both
models are measured on the same resample.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.domain.evaluation.gate_checks import NO_AUDIT, Decision, shown_mean
from octospoon.domain.evaluation.metrics import Interval
from octospoon.domain.task_types.detection.average_precision import average_precision, mean_over_classes
from octospoon.domain.task_types.detection.geometry import overlaps
from octospoon.domain.task_types.detection.matching import match
from octospoon.domain.task_types.detection.predictions import COORDINATES, THRESHOLD, detections

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.evaluation.gate_checks import Answers, Rules
    from octospoon.domain.task_types.detection.matching import Matches

    Floats = npt.NDArray[np.floating]
    Targets = npt.NDArray[np.float64]

_RESAMPLES = 500
_SAME = 0.5


class Difference(NamedTuple):
    """The difference of two models' AP50 on the same images, of all classes and of each.

    Attributes:
        new: float64 [1 + C], AP50 of the challenger: its mean over the classes, then that of each class.
        old: float64 [1 + C], that of the champion.
        errors: float64 [1 + C], standard error of new - old, by the bootstrap; NaN without objects.
        images: int64 [1 + C], the number of images, and of those with objects of each class.
        interval: the 95 % percentile interval of the first difference.
    """

    new: npt.NDArray[np.float64]
    old: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]
    images: npt.NDArray[np.int64]
    interval: Interval

    def shown(self, at: int, margin: float, standard_errors: float) -> bool:
        """Return whether a loss beyond the margin is shown; False for a class without objects.

        The difference of two images is at least -1 and at most 1. As `paired_difference` does it, four images
        of half a weight are added, one of which is gained and one lost. Otherwise the bootstrap would be sure
        of a class that one image has: there is nothing to resample.
        """
        value, count = float(self.new[at] - self.old[at]), float(self.images[at])
        spread = count * (count * float(self.errors[at]) ** 2 + value**2) + 1
        mean = count * value / (count + 2)
        error = math.sqrt(max(spread / (count + 2) - mean**2, 0.0) / (count + 2))
        return mean + standard_errors * error < -margin


def paired_bootstrap(new: Floats, old: Floats, targets: Targets) -> Difference:
    """Compare AP50 by a paired bootstrap over the images (Efron and Tibshirani 1993, chapter 16).

    Args:
        new: float [N, K, 4 + C], N >= 1, predictions of the challenger.
        old: float [N, L, 4 + C], those of the champion.
        targets: float64 [N, M, 5].
    """
    count = len(targets)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    weights = np.concatenate([np.ones((1, count), np.int64), drawn])
    ours, theirs = (_figures(match(rows, targets), weights) for rows in (new, old))
    resampled = ours[1:] - theirs[1:]
    counted = np.isfinite(resampled).sum(axis=0)
    errors = np.full(ours.shape[1], np.nan)
    errors[counted > 1] = np.nanstd(resampled[:, counted > 1], axis=0, ddof=1)
    ends = resampled[:, 0][np.isfinite(resampled[:, 0])]
    low, high = np.quantile(ends, [0.025, 0.975]).tolist() if len(ends) else (np.nan, np.nan)
    there = (targets[..., 4, np.newaxis] == np.arange(ours.shape[1] - 1)).any(axis=1).sum(axis=0)
    return Difference(ours[0], theirs[0], errors, np.array([count, *there]), Interval(low, high))


def invalid(challenger: Answers, n: int) -> list[str]:
    """Check that the challenger gives boxes within the image, and scores between 0 and 1.

    Args:
        challenger: the new model's answers.
        n: number of audit images.
    """
    spec, given = challenger.spec, challenger.probabilities
    if not spec.has_head or given is None:
        return ["the new model has no classes"]
    if given.ndim != 3 or (len(given), given.shape[2]) != (n, COORDINATES + len(spec.classes)):
        return [f"the new model answers {given.shape} for {n} images of {len(spec.classes)} classes"]
    if not np.isfinite(given).all():
        return ["the new model gives boxes or scores that are not finite"]
    if given.size and not (given.min() >= 0 and given.max() <= 1):
        return ["the new model's boxes or scores are not between 0 and 1"]
    used = detections(given)
    if not (used.boxes[:, :2] <= used.boxes[:, 2:]).all():
        return ["the new model gives boxes whose right or lower edge comes before the other"]
    return []


def unlike_its_judges(challenger: Answers, targets: Targets, rules: Rules) -> list[str]:
    """Check that the served head is no worse than the fold heads that are judged in its place."""
    if challenger.served is None or challenger.probabilities is None or not len(targets):
        return []
    difference = paired_bootstrap(challenger.served, challenger.probabilities, targets)
    if not difference.shown(0, rules.margin, rules.standard_errors):
        return []
    return [
        f"the served head has a lower AP50 ({difference.new[0]:.3f}) on audit images that it was trained on "
        f"than heads that have not seen them ({difference.old[0]:.3f}): the file and its training record do "
        "not match"
    ]


def first(challenger: Floats, targets: Targets, rules: Rules) -> Decision:
    """Judge the first model with classes: its boxes must fit their own images better than others.

    A model that guesses the same boxes everywhere fits all images equally.
    """
    if (targets[..., 4] >= 0).any():
        guessed = paired_bootstrap(challenger, np.roll(challenger, 1, axis=0), targets)
        bound = guessed.new[0] - guessed.old[0] + rules.standard_errors * guessed.errors[0]
        if not bound > 0:
            reason = (
                f"worse than guessing on {len(targets)} audit images: AP50 {guessed.new[0]:.3f}, and "
                f"{guessed.old[0]:.3f} with the boxes of other images"
            )
            return Decision(promote=False, reasons=(reason,))
    return Decision(promote=True, reasons=("the first model with classes: nothing to compare it with",))


def successor(challenger: Answers, champion: Answers, targets: Targets, rules: Rules) -> Decision:
    """Judge a model on the classes that both models know, and its new classes apart."""
    known = champion.spec.classes
    new, old, truth = _shared(challenger, champion, targets)
    if not (truth[..., 4] >= 0).any():
        return Decision(promote=False, reasons=(NO_AUDIT,))
    reasons, notes = _new_classes(challenger, known, targets, rules)
    difference = paired_bootstrap(new, old, truth)
    comparison = (
        f"AP50 {difference.new[0]:.3f} against {difference.old[0]:.3f} on {len(truth)} audit images "
        f"(difference {difference.new[0] - difference.old[0]:+.3f}, 95 % interval "
        f"{difference.interval.low:+.3f} to {difference.interval.high:+.3f})"
    )
    if difference.shown(0, rules.margin, rules.standard_errors):
        reasons.append(f"worse than the model in service: {comparison}")
    reasons += [
        f"AP50 of {name} fell from {difference.old[at]:.3f} to {difference.new[at]:.3f} on "
        f"{int((truth[..., 4] == at - 1).sum())} objects of audit images"
        for at, name in enumerate(known, 1)
        if difference.shown(at, rules.recall_margin, rules.recall_standard_errors)
    ]
    return Decision(promote=not reasons, reasons=(*(reasons or [comparison]), *notes))


def _figures(matches: Matches, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return AP50 in resamples, float64 [B, 1 + C]: its mean over the classes, then that of each class."""
    of_classes = average_precision(matches, weights)[..., 0]
    return np.column_stack([mean_over_classes(of_classes), of_classes])


def _shared(challenger: Answers, champion: Answers, targets: Targets) -> tuple[Floats, Floats, Targets]:
    """Return both models' predictions and the targets, of the champion's classes and judged images.

    Most audit labels are older than an added class, so neither its boxes nor its objects are compared.
    """
    new, old = np.asarray(challenger.probabilities), np.asarray(champion.probabilities)
    judged = np.isfinite(old).all(axis=(1, 2))
    kept = [challenger.spec.classes.index(name) for name in champion.spec.classes]
    position = np.full(len(challenger.spec.classes) + 1, -1.0)  # the last is that of padding
    position[kept] = np.arange(len(kept))
    truth = targets[judged]
    truth[..., 4] = position[truth[..., 4].astype(np.int64)]
    columns = [*range(COORDINATES), *(COORDINATES + at for at in kept)]
    return new[judged][..., columns], old[judged], truth


def _new_classes(
    challenger: Answers, known: tuple[str, ...], targets: Targets, rules: Rules
) -> tuple[list[str], list[str]]:
    """Check that most objects of other classes are not shown as a new class; return reasons and notes."""
    reasons, notes = [], []
    for at, name in enumerate(challenger.spec.classes):
        if name in known:
            continue
        shown, classes = _shown_as(np.asarray(challenger.probabilities), targets, at)
        own, others = shown[classes == at], shown[classes != at]
        notes.append(
            f"new class {name}: {int(own.sum())} of {len(own)} objects of audit images recognised, "
            f"{int(others.sum())} of {len(others)} others mistaken for it"
        )
        if shown_mean(others.astype(np.float64), rules) > rules.mistaken:
            reasons.append(f"most objects of other classes are mistaken for {name}")
    return reasons, notes


def _shown_as(
    predictions: Floats, targets: Targets, label: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return whether a box of a class is on each of G objects, bool [G], and their classes, int64 [G]."""
    given = detections(predictions, THRESHOLD)
    shown: list[npt.NDArray[np.bool_]] = [np.empty(0, np.bool_)]
    classes: list[npt.NDArray[np.float64]] = [np.empty(0)]
    for image, rows in enumerate(targets):
        objects = rows[rows[:, 4] >= 0]
        drawn = given.boxes[(given.images == image) & (given.classes == label)]
        shown.append(np.any(overlaps(objects[:, :4], drawn) >= _SAME, axis=1, keepdims=True)[:, 0])
        classes.append(objects[:, 4])
    return np.concatenate(shown), np.concatenate(classes).astype(np.int64)
