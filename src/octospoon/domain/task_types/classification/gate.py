"""Compare two classifiers on the audit images: what the promotion gate asks about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.gate_checks import NO_AUDIT, Decision
from octospoon.domain.evaluation.metrics import paired_difference, wilson
from octospoon.domain.task_types.classification import gate_checks
from octospoon.domain.task_types.classification.gate_checks import invalid, unlike_its_judges

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.evaluation.gate_checks import Answers, Rules

__all__ = ["first", "invalid", "successor", "unlike_its_judges"]


def first(challenger: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], rules: Rules) -> Decision:
    """Judge the first model with classes. There is no other to compare with, so it must beat guessing."""
    if len(targets):
        right = int(np.sum(challenger.argmax(axis=1) == targets))
        bound = wilson(right, len(targets), rules.standard_errors).high
        guessed = 1.0 / challenger.shape[1]
        if bound < guessed:
            reason = f"worse than guessing: {right} of {len(targets)} audit images right"
            return Decision(promote=False, reasons=(reason,))
    return Decision(promote=True, reasons=("the first model with classes: nothing to compare it with",))


def successor(
    challenger: Answers, champion: Answers, targets: npt.NDArray[np.int64], rules: Rules
) -> Decision:
    """Judge a model on the audit images of the classes that both models know, and its new classes apart."""
    new, old, shared_labels = _shared(challenger, champion, targets)
    if not len(shared_labels):
        return Decision(promote=False, reasons=(NO_AUDIT,))
    reasons, notes = gate_checks.bad_new_classes(challenger, champion.spec.classes, targets, rules)
    right, before = new.argmax(axis=1) == shared_labels, old.argmax(axis=1) == shared_labels
    interval = paired_difference(right, before)
    comparison = (
        f"accuracy {right.mean():.3f} against {before.mean():.3f} on {len(shared_labels)} audit images "
        f"(difference {float(right.mean() - before.mean()):+.3f}, "
        f"95 % interval {interval.low:+.3f} to {interval.high:+.3f})"
    )
    if paired_difference(right, before, rules.standard_errors).high < -rules.margin:
        reasons.append(f"worse than the model in service: {comparison}")
    reasons += gate_checks.lost_recall(champion.spec.classes, right, before, shared_labels, rules)
    reasons += gate_checks.worse_calibrated(new, old, shared_labels, rules)
    return Decision(promote=not reasons, reasons=(*(reasons or [comparison]), *notes))


def _shared(
    challenger: Answers, champion: Answers, labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], npt.NDArray[np.int64]]:
    """Return both models' probabilities and the labels, restricted to the classes that both know.

    Images that no head of the champion can judge are left out: their rows are NaN. Most audit labels are
    older than an added class: today those images might get the new class. So the
    challenger, like the champion, must choose among the classes that existed when the label was given, and
    its probabilities are normalised over these.

    Returns:
        float [M, B] of the challenger, float [M, B] of the champion and int [M] in [0, B), for the M images
        with one of the champion's B classes.
    """
    new, old = np.asarray(challenger.probabilities), np.asarray(champion.probabilities)
    judged = np.isfinite(old).all(axis=1)
    new, old, labels = new[judged], old[judged], labels[judged]
    kept = [challenger.spec.classes.index(name) for name in champion.spec.classes]
    if len(kept) == new.shape[1]:
        return new, old, labels
    both = np.isin(labels, kept)
    among = new[both][:, kept]
    among = among / np.maximum(among.sum(axis=1, keepdims=True), np.finfo(among.dtype).tiny)
    return among, old[both], np.array([kept.index(label) for label in labels[both].tolist()], np.int64)
