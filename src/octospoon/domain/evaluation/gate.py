"""Decide whether a new model may replace the one in service: the promotion gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import gate_checks, metrics
from octospoon.domain.evaluation.gate_checks import Answers, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["Answers", "Decision", "Rules", "decide", "in_classes", "of_project"]

_NO_AUDIT = "no audit label to compare the two models on: label some of the audit share of a batch"


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of the gate.

    Attributes:
        promote: whether the model may go into service.
        reasons: every reason for a refusal; for a promotion, a sentence that explains it.
    """

    promote: bool
    reasons: tuple[str, ...]


def decide(
    challenger: Answers,
    champion: Answers | None,
    labels: npt.NDArray[np.int64],
    rules: Rules | None = None,
) -> Decision:
    """Decide whether the challenger may replace the champion.

    This is a non-inferiority test on N audit images. Each model's answer for an image comes from a head that
    was not trained on it. The gate refuses the new model if the paired difference
    of accuracy plus `standard_errors` standard errors is below -margin. Recall of each class, log loss and
    overconfidence are tested in the same way.

    Why one standard error: a test that requires the whole 95 % interval above -margin would refuse every
    model while N is small (10 in a first round). A test that requires the whole interval below -margin would
    accept losses of 10 points at N = 50. One standard error refuses a model with two more errors out of 10,
    or three more out of 50. It refuses equal models that differ on a tenth of 50 images about once in 14
    times. As N grows, the rule becomes "no loss beyond the margin".

    Args:
        challenger: the new model's answers.
        champion: the answers of the model in service, None before the first.
        labels: int [N], the true classes, as positions in the challenger's class list.
        rules: the limits.
    """
    rules = rules or Rules()
    reasons = gate_checks.invalid(challenger, len(labels))
    reasons += gate_checks.too_costly(challenger, champion, rules)
    reasons += [] if reasons else gate_checks.unlike_its_judges(challenger, labels, rules)
    if champion is not None and challenger.spec.version <= champion.spec.version:
        reasons.append(
            f"version {challenger.spec.version} is not newer than version {champion.spec.version} in service"
        )
    if champion is not None:
        reasons += gate_checks.incomparable(challenger, champion)
    if reasons or challenger.probabilities is None:
        return Decision(promote=False, reasons=tuple(reasons))
    if champion is None or champion.probabilities is None:
        return _first(challenger.probabilities, labels, rules)
    return _successor(challenger, champion, labels, rules)


def of_project(decision: Decision, classes: Sequence[str], project: Sequence[str]) -> Decision:
    """Return the decision, or a refusal if the project now has classes that the model does not know.

    Classes can be added while a model is trained.

    Args:
        decision: the result of `decide`.
        classes: the challenger's classes.
        project: the project's classes now; empty if they are unknown.
    """
    lacking = [name for name in project if name not in classes]
    if not lacking:
        return decision
    names = ", ".join(lacking)
    reason = f"the project has {names} now, which the model does not know: the next job learns it"
    return Decision(promote=False, reasons=(reason, *(() if decision.promote else decision.reasons)))


def in_classes(champion: Answers, classes: tuple[str, ...]) -> npt.NDArray[np.floating] | None:
    """Return a model's probabilities in the order of another class list; classes it lacks have 0.

    Args:
        champion: the model's answers, float [N, B].
        classes: C class names, among them all B of the model.

    Returns:
        float [N, C], or None if the model has no probabilities.
    """
    if champion.probabilities is None or champion.spec.classes == classes:
        return champion.probabilities
    wide = np.zeros((len(champion.probabilities), len(classes)), champion.probabilities.dtype)
    wide[:, [classes.index(name) for name in champion.spec.classes]] = champion.probabilities
    return wide


def _first(new: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], rules: Rules) -> Decision:
    """Judge the first model with classes. There is no other to compare with, so it must beat guessing."""
    if len(labels):
        right = int(np.sum(new.argmax(axis=1) == labels))
        bound = metrics.wilson(right, len(labels), rules.standard_errors).high
        guessed = 1.0 / new.shape[1]
        if bound < guessed:
            reason = f"worse than guessing: {right} of {len(labels)} audit images right"
            return Decision(promote=False, reasons=(reason,))
    return Decision(promote=True, reasons=("the first model with classes: nothing to compare it with",))


def _successor(
    challenger: Answers, champion: Answers, labels: npt.NDArray[np.int64], rules: Rules
) -> Decision:
    """Judge a model on the audit images of the classes that both models know, and its new classes apart."""
    new, old, shared_labels = _shared(challenger, champion, labels)
    if not len(shared_labels):
        return Decision(promote=False, reasons=(_NO_AUDIT,))
    reasons, notes = gate_checks.bad_new_classes(challenger, champion.spec.classes, labels, rules)
    right, before = new.argmax(axis=1) == shared_labels, old.argmax(axis=1) == shared_labels
    interval = metrics.paired_difference(right, before)
    comparison = (
        f"accuracy {right.mean():.3f} against {before.mean():.3f} on {len(shared_labels)} audit images "
        f"(difference {float(right.mean() - before.mean()):+.3f}, "
        f"95 % interval {interval.low:+.3f} to {interval.high:+.3f})"
    )
    if metrics.paired_difference(right, before, rules.standard_errors).high < -rules.margin:
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
