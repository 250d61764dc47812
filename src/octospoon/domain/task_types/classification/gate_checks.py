"""The checks of the promotion gate for classifiers.

Each check returns the reasons against a new model, one sentence per reason, and an empty list if it passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.gate_checks import shown_mean
from octospoon.domain.evaluation.metrics import paired_difference
from octospoon.domain.task_types.classification import metrics

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.evaluation.gate_checks import Answers, Rules


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


def unlike_its_judges(challenger: Answers, targets: npt.NDArray[np.int64], rules: Rules) -> list[str]:
    """Check that the served head is no worse than the fold heads that are judged in its place.

    It was trained as they were, on the audit images too. So it can only be less accurate on these images if
    it is not the head that the record belongs to.

    Args:
        challenger: the new model's answers.
        targets: int [N], the true classes.
        rules: the limits.
    """
    if challenger.served is None or challenger.probabilities is None or not len(targets):
        return []
    served, judged = (
        answers.argmax(axis=1) == targets for answers in (challenger.served, challenger.probabilities)
    )
    if paired_difference(served, judged, rules.standard_errors).high >= -rules.margin:
        return []
    return [
        f"the served head is less accurate ({served.mean():.3f}) on audit images that it was trained on than "
        f"heads that have not seen them ({judged.mean():.3f}): the file and its training record do not match"
    ]


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
        bound = paired_difference(right[of_class], before[of_class], rules.recall_standard_errors).high
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
    excess, before = (answers.max(axis=1) - (answers.argmax(axis=1) == labels) for answers in (new, old))
    if shown_mean(excess, rules) > rules.overconfidence and excess.mean() > before.mean():
        reasons.append(f"overconfident: mean confidence is {excess.mean():.3f} above accuracy")
    return reasons
