"""The gate in front of production: a new model is refused unless everything that it must be is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.model_spec import ModelSpec

_NO_AUDIT = "no audit label to compare the two models on: label some of the audit share of a batch"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a new model must keep to.

    Attributes:
        margin: accuracy that may be lost, as a share.
        standard_errors: by how many of them a loss must lie beyond its margin to count as shown.
        recall_margin: recall of one class that may be lost, as a share.
        recall_standard_errors: the same for one class; more, because every class is looked at.
        log_loss_margin: log loss that may be added, in nats.
        overconfidence: how far mean confidence may lie above accuracy, as a share, unless the model in
            service is as bad.
        mistaken: share of the other classes' images that may be taken for a new class.
        parity: largest difference between the assembled file and its parts.
        most_bytes: of the model file, which must fit beside its function's code and memory.
        most_seconds: for one image on one thread.
        slowdown: against the model in service, where it takes longer than `unnoticed_seconds`.
        unnoticed_seconds: for one image, no matter how fast the model in service is.
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
    """What one model says of the audit images, and what it costs.

    Attributes:
        spec: the model's own description.
        probabilities: float [N, C] over the same images for both models; None from a model without a head.
        seconds: for one image on one thread.
        size: of the model file, in bytes.
        parity_gap: largest difference between the assembled file and its parts.
    """

    spec: ModelSpec
    probabilities: npt.NDArray[np.floating] | None
    seconds: float
    size: int
    parity_gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says, and every reason for a refusal; one line that explains a promotion."""

    promote: bool
    reasons: tuple[str, ...]


def decide(
    challenger: Answers,
    champion: Answers | None,
    labels: npt.NDArray[np.int64],
    rules: Rules | None = None,
) -> Decision:
    """Say whether the challenger may replace the champion.

    Non-inferiority is judged on the same N audit images by the paired difference of accuracy: the new model
    is refused where even the difference plus `standard_errors` standard errors lies below -margin. Asking the
    whole 95 % interval to lie above -margin would refuse every model while N is small (10 in a first round),
    and asking it to lie below would let losses of 10 points pass at N = 50. One standard error refuses two
    answers more wrong out of 10, or three out of 50; equal models that differ on a tenth of 50 images are
    refused about one time in fourteen; and as N grows the rule becomes "no more than the margin lost". Recall
    of each class, log loss and overconfidence are judged in the same way.

    Args:
        challenger: the new model's answers.
        champion: the answers of the model in service, None before the first.
        labels: int [N], the true classes, as positions in the challenger's class list.
        rules: the limits.
    """
    rules = rules or Rules()
    reasons = _unfit(challenger, len(labels)) + _too_costly(challenger, champion, rules)
    if champion is not None and challenger.spec.version <= champion.spec.version:
        reasons.append(
            f"version {challenger.spec.version} is not newer than version {champion.spec.version} in service"
        )
    if champion is not None:
        reasons += _incomparable(challenger, champion)
    if reasons or challenger.probabilities is None:
        return Decision(promote=False, reasons=tuple(reasons))
    if champion is None or champion.probabilities is None:
        return _first(challenger.probabilities, labels, rules)
    return _successor(challenger, champion, labels, rules)


def of_project(decision: Decision, classes: Sequence[str], project: Sequence[str]) -> Decision:
    """Return a decision as it stands while the project has these classes, which may have come meanwhile.

    Args:
        decision: what `decide` said.
        classes: which the challenger knows.
        project: which the project has now; none where that is unknown.
    """
    lacking = [name for name in project if name not in classes]
    if not lacking:
        return decision
    names = ", ".join(lacking)
    reason = f"the project has {names} now, which the model does not know: the next job learns it"
    return Decision(promote=False, reasons=(reason, *(() if decision.promote else decision.reasons)))


def in_classes(champion: Answers, classes: tuple[str, ...]) -> npt.NDArray[np.floating] | None:
    """Return a model's probabilities as float [N, C] in the order of these classes, which contain its own."""
    if champion.probabilities is None or champion.spec.classes == classes:
        return champion.probabilities
    wide = np.zeros((len(champion.probabilities), len(classes)), champion.probabilities.dtype)
    wide[:, [classes.index(name) for name in champion.spec.classes]] = champion.probabilities
    return wide


def _extended(old: tuple[str, ...], new: tuple[str, ...]) -> bool:
    """Say whether `new` has all names of `old`, in their order, and perhaps more."""
    return tuple(name for name in new if name in old) == old


def _unfit(challenger: Answers, n: int) -> list[str]:
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


def _too_costly(challenger: Answers, champion: Answers | None, rules: Rules) -> list[str]:
    reasons = []
    if not challenger.parity_gap <= rules.parity:
        reasons.append(f"the assembled model and its parts differ by {challenger.parity_gap:.2g}")
    if challenger.size > rules.most_bytes:
        reasons.append(f"the model file has {challenger.size:,} bytes, more than {rules.most_bytes:,}")
    allowed = rules.most_seconds
    if champion is not None:
        allowed = min(allowed, max(rules.slowdown * champion.seconds, rules.unnoticed_seconds))
    if challenger.seconds > allowed:
        reasons.append(f"one image takes {challenger.seconds:.3f} s, more than {allowed:.3f} s")
    return reasons


def _incomparable(challenger: Answers, champion: Answers) -> list[str]:
    new, old = challenger.spec, champion.spec
    if not old.has_head:
        return []
    reasons = []
    if not _extended(old.classes, new.classes):
        reasons.append(
            f"the classes changed from {', '.join(old.classes)} to {', '.join(new.classes)}: "
            "put the backbone alone into service to start anew"
        )
    if champion.probabilities is None or challenger.probabilities is None:
        reasons.append("the model in service gave no answers to compare with")
    elif champion.probabilities.shape != (len(challenger.probabilities), len(old.classes)):
        reasons.append("the two models did not answer on the same images")
    return reasons


def _first(new: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], rules: Rules) -> Decision:
    """Judge the first model with classes: nothing to compare it with, but no worse than a guess."""
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
    """Judge on the audit images of the classes that both know; of a new one, tell what it is taken for."""
    new, old, known = _shared(challenger, champion, labels)
    if not len(known):
        return Decision(promote=False, reasons=(_NO_AUDIT,))
    reasons, notes = _added(challenger, champion.spec.classes, labels, rules)
    labels = known
    right, before = new.argmax(axis=1) == labels, old.argmax(axis=1) == labels
    interval = metrics.paired_difference(right, before)
    shown = (
        f"accuracy {right.mean():.3f} against {before.mean():.3f} on {len(labels)} audit images "
        f"(difference {float(right.mean() - before.mean()):+.3f}, "
        f"95 % interval {interval.low:+.3f} to {interval.high:+.3f})"
    )
    if metrics.paired_difference(right, before, rules.standard_errors).high < -rules.margin:
        reasons.append(f"worse than the model in service: {shown}")
    reasons += _lost_classes(champion.spec.classes, right, before, labels, rules)
    reasons += _worse_calibrated(new, old, labels, rules)
    return Decision(promote=not reasons, reasons=(*(reasons or [shown]), *notes))


def _shared(
    challenger: Answers, champion: Answers, labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], npt.NDArray[np.int64]]:
    """Return both models' answers, float [M, C], and int [M] labels, among the classes that both know.

    Most audit labels were given before an added class was there: what they name might be of it today. So the
    challenger is asked for the best of the classes that the label could have named, as the champion is.
    """
    new, old = np.asarray(challenger.probabilities), np.asarray(champion.probabilities)
    kept = [challenger.spec.classes.index(name) for name in champion.spec.classes]
    if len(kept) == new.shape[1]:
        return new, old, labels
    both = np.isin(labels, kept)
    among = new[both][:, kept]
    among = among / np.maximum(among.sum(axis=1, keepdims=True), np.finfo(among.dtype).tiny)
    return among, old[both], np.array([kept.index(label) for label in labels[both].tolist()], np.int64)


def _added(
    challenger: Answers, known: tuple[str, ...], labels: npt.NDArray[np.int64], rules: Rules
) -> tuple[list[str], list[str]]:
    """Return reasons to refuse a model for its added classes, and for each what is to be said of it."""
    answers = np.asarray(challenger.probabilities).argmax(axis=1)
    reasons, notes = [], []
    for position, name in enumerate(challenger.spec.classes):
        if name in known:
            continue
        of, taken = labels == position, answers == position
        notes.append(
            f"new class {name}: {int(taken[of].sum())} of {int(of.sum())} audit images recognised, "
            f"{int(taken[~of].sum())} of {int((~of).sum())} others taken for it"
        )
        if _shown(taken[~of].astype(np.float64), rules) > rules.mistaken:
            reasons.append(f"most images of other classes are taken for {name}")
    return reasons, notes


def _lost_classes(
    classes: tuple[str, ...],
    right: npt.NDArray[np.bool_],
    before: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.int64],
    rules: Rules,
) -> list[str]:
    reasons = []
    for position, name in enumerate(classes):
        of = labels == position
        bound = metrics.paired_difference(right[of], before[of], rules.recall_standard_errors).high
        if bound < -rules.recall_margin:
            reasons.append(
                f"recall of {name} fell from {before[of].mean():.3f} to {right[of].mean():.3f} "
                f"on {int(of.sum())} audit images"
            )
    return reasons


def _worse_calibrated(
    new: npt.NDArray[np.floating],
    old: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    rules: Rules,
) -> list[str]:
    reasons = []
    lost = metrics.losses(new, labels) - metrics.losses(old, labels)
    if _shown(lost, rules) > rules.log_loss_margin:
        reasons.append(f"log loss rose by {lost.mean():.3f} nats on {len(labels)} audit images")
    over, before = (each.max(axis=1) - (each.argmax(axis=1) == labels) for each in (new, old))
    if _shown(over, rules) > rules.overconfidence and over.mean() > before.mean():
        reasons.append(f"too sure of itself: mean confidence lies {over.mean():.3f} above accuracy")
    return reasons


def _shown(values: npt.NDArray[np.floating], rules: Rules) -> float:
    """Return how large the mean of float [N] is shown to be: less so many standard errors; -inf for N < 2."""
    if len(values) < 2:
        return float("-inf")
    error = float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return float(values.mean()) - rules.standard_errors * error
