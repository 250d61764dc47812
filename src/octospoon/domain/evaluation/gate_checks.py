"""The single checks of the promotion gate, their limits, and the answers that they compare.

Each check returns the reasons against a new model, one sentence per reason, and an empty list if it passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import metrics

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.model_spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits that a new model must keep.

    Attributes:
        margin: accuracy that may be lost, as a share.
        standard_errors: number of standard errors by which a loss must exceed its margin to count as shown.
        recall_margin: recall of one class that may be lost, as a share.
        recall_standard_errors: the same number for one class. It is larger because every class is tested, and
            more tests give more false alarms.
        log_loss_margin: increase of the log loss that is allowed, in nats.
        overconfidence: allowed excess of mean confidence over accuracy, as a share, unless the model in
            service exceeds accuracy by as much.
        mistaken: share of the other classes' images that may be predicted as a new class.
        parity: largest allowed difference between the complete file and its two parts.
        most_bytes: largest model file in bytes. It must fit beside the code and memory of the function.
        most_seconds: longest time for one image on one thread.
        slowdown: largest ratio to the time of the model in service, if the time exceeds `unnoticed_seconds`.
        unnoticed_seconds: time for one image that is always allowed, however fast the model in service is.
    """

    margin: float = 0.02
    standard_errors: float = 1.0
    recall_margin: float = 0.1
    recall_standard_errors: float = 2.5
    log_loss_margin: float = 0.1
    overconfidence: float = 0.1
    mistaken: float = 0.5
    parity: float = 1e-4
    most_bytes: int = 400_000_000
    most_seconds: float = 2.0
    slowdown: float = 3.0
    unnoticed_seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Answers:
    """The predictions of one model on the audit images, and its costs.

    Attributes:
        spec: the model's own description.
        probabilities: float [N, C] of the N audit images, the same images for both models, each from a head
            that was not trained on the image; rows of NaN for images without such a head, which the gate
            leaves out. None from a model without a head.
        seconds: time for one image on one thread.
        size: of the model file, in bytes.
        parity_gap: largest difference between the complete file and its two parts.
        served: float [N, C] of the served head, which may have been trained on the images; None if it is not
            compared.
    """

    spec: ModelSpec
    probabilities: npt.NDArray[np.floating] | None
    seconds: float
    size: int
    parity_gap: float = 0.0
    served: npt.NDArray[np.floating] | None = None


def invalid(challenger: Answers, n: int) -> list[str]:
    """Check that the challenger gives probabilities: finite, of the right shape, with rows that sum to one.

    Args:
        challenger: the new model's answers.
        n: number of audit images.
    """
    spec, probabilities = challenger.spec, challenger.probabilities
    if not spec.has_head or probabilities is None:
        return ["the new model has no classes"]
    if probabilities.shape != (n, len(spec.classes)):
        return [f"the new model answers {probabilities.shape} for {n} images of {len(spec.classes)} classes"]
    if not np.isfinite(probabilities).all():
        return ["the new model gives probabilities that are not finite"]
    if n and not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3):
        return ["the new model's probabilities do not sum to one"]
    return []


def too_costly(challenger: Answers, champion: Answers | None, rules: Rules) -> list[str]:
    """Check that the file is small and fast enough, and that it agrees with the parts it was made of."""
    reasons = []
    # "not <=" instead of ">", so that NaN is refused too
    if not challenger.parity_gap <= rules.parity:
        reasons.append(f"the complete model and its parts differ by {challenger.parity_gap:.2g}")
    if challenger.size > rules.most_bytes:
        reasons.append(f"the model file has {challenger.size:,} bytes, more than {rules.most_bytes:,}")
    allowed = rules.most_seconds
    if champion is not None:
        allowed = min(allowed, max(rules.slowdown * champion.seconds, rules.unnoticed_seconds))
    if challenger.seconds > allowed:
        reasons.append(f"one image takes {challenger.seconds:.3f} s, more than {allowed:.3f} s")
    return reasons


def unlike_its_judges(challenger: Answers, labels: npt.NDArray[np.int64], rules: Rules) -> list[str]:
    """Check that the served head is no worse than the fold heads that are judged in its place.

    It was trained as they were, on the audit images too. So it can only be less accurate on these images if
    it is not the head that the record belongs to.

    Args:
        challenger: the new model's answers.
        labels: int [N], the true classes.
        rules: the limits.
    """
    if challenger.served is None or challenger.probabilities is None or not len(labels):
        return []
    served, judged = (each.argmax(axis=1) == labels for each in (challenger.served, challenger.probabilities))
    if metrics.paired_difference(served, judged, rules.standard_errors).high >= -rules.margin:
        return []
    return [
        f"the served head is less accurate ({served.mean():.3f}) on audit images that it was trained on than "
        f"heads that have not seen them ({judged.mean():.3f}): the file and its training record do not match"
    ]


def incomparable(challenger: Answers, champion: Answers) -> list[str]:
    """Check that the champion answered on the same images, and that its classes keep their order."""
    new, old = challenger.spec, champion.spec
    if not old.has_head:
        return []
    reasons = []
    if not _extends(old.classes, new.classes):
        reasons.append(
            f"the classes changed from {', '.join(old.classes)} to {', '.join(new.classes)}: "
            "to start again, put the backbone alone into service"
        )
    if champion.probabilities is None or challenger.probabilities is None:
        reasons.append("the model in service gave no predictions to compare with")
    elif champion.probabilities.shape != (len(challenger.probabilities), len(old.classes)):
        reasons.append("the two models did not predict the same images")
    return reasons


def bad_new_classes(
    challenger: Answers, known: tuple[str, ...], labels: npt.NDArray[np.int64], rules: Rules
) -> tuple[list[str], list[str]]:
    """Check that the challenger's new classes do not attract most images of the other classes.

    Args:
        challenger: the new model's answers.
        known: class names of the model in service.
        labels: int [N], the true classes, as positions in the challenger's class list.
        rules: the limits.

    Returns:
        The reasons against the model, and for each new class a note on how well it is recognised.
    """
    predicted = np.asarray(challenger.probabilities).argmax(axis=1)
    reasons, notes = [], []
    for position, name in enumerate(challenger.spec.classes):
        if name in known:
            continue
        of_class, as_class = labels == position, predicted == position
        notes.append(
            f"new class {name}: {int(as_class[of_class].sum())} of {int(of_class.sum())} audit images "
            f"recognised, {int(as_class[~of_class].sum())} of {int((~of_class).sum())} others mistaken for it"
        )
        if shown_mean(as_class[~of_class].astype(np.float64), rules) > rules.mistaken:
            reasons.append(f"most images of other classes are mistaken for {name}")
    return reasons, notes


def lost_recall(
    classes: tuple[str, ...],
    right: npt.NDArray[np.bool_],
    before: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.int64],
    rules: Rules,
) -> list[str]:
    """Check that no class lost recall beyond the margin.

    Equal accuracy can hide a lost class if another class gained as much.

    Args:
        classes: C class names.
        right: bool [N], whether the challenger is right on each audit image.
        before: bool [N], the same for the model in service.
        labels: int [N], the true classes, as positions in `classes`.
        rules: the limits.
    """
    reasons = []
    for position, name in enumerate(classes):
        of_class = labels == position
        bound = metrics.paired_difference(
            right[of_class], before[of_class], rules.recall_standard_errors
        ).high
        if bound < -rules.recall_margin:
            reasons.append(
                f"recall of {name} fell from {before[of_class].mean():.3f} to {right[of_class].mean():.3f} "
                f"on {int(of_class.sum())} audit images"
            )
    return reasons


def worse_calibrated(
    new: npt.NDArray[np.floating],
    old: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    rules: Rules,
) -> list[str]:
    """Check log loss and overconfidence: a model can be right as often and far too sure of itself.

    Args:
        new: float [N, C], the challenger's probabilities.
        old: float [N, C], those of the model in service.
        labels: int [N], the true classes.
        rules: the limits.
    """
    reasons = []
    increase = metrics.losses(new, labels) - metrics.losses(old, labels)
    if shown_mean(increase, rules) > rules.log_loss_margin:
        reasons.append(f"log loss rose by {increase.mean():.3f} nats on {len(labels)} audit images")
    excess, before = (each.max(axis=1) - (each.argmax(axis=1) == labels) for each in (new, old))
    if shown_mean(excess, rules) > rules.overconfidence and excess.mean() > before.mean():
        reasons.append(f"overconfident: mean confidence is {excess.mean():.3f} above accuracy")
    return reasons


def shown_mean(values: npt.NDArray[np.floating], rules: Rules) -> float:
    """Return a lower bound of the mean: the mean of float [N] less `standard_errors`; -inf for N < 2."""
    if len(values) < 2:
        return float("-inf")
    error = float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return float(values.mean()) - rules.standard_errors * error


def _extends(old: tuple[str, ...], new: tuple[str, ...]) -> bool:
    """Return True if `new` contains all names of `old` in their order, and perhaps more."""
    return tuple(name for name in new if name in old) == old
