"""The gate in front of production: a new model is refused unless everything that it must be is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain import evaluation

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.model_spec import ModelSpec

MARGIN = 0.02
STANDARD_ERRORS = 1.0
_NO_AUDIT = "no audit label to compare the two models on: label some of the audit share of a batch"


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model says of the audit images.

    Attributes:
        spec: the model's own description.
        probabilities: float [N, C] over the same images for both models; None from a model without a head.
    """

    spec: ModelSpec
    probabilities: npt.NDArray[np.floating] | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says, and every reason for a refusal; one line that explains a promotion."""

    promote: bool
    reasons: tuple[str, ...]


def decide(
    challenger: Answers, champion: Answers | None, labels: npt.NDArray[np.int64], margin: float = MARGIN
) -> Decision:
    """Say whether the challenger may replace the champion.

    Non-inferiority is judged on the same N audit images by the paired difference of accuracy: the new model
    is refused where even the difference plus STANDARD_ERRORS standard errors lies below -margin. Asking the
    whole 95 % interval to lie above -margin would refuse every model while N is small (10 in a first round),
    and asking it to lie below would let losses of 10 points pass at N = 50. One standard error refuses two
    answers more wrong out of 10, or three out of 50; equal models that differ on a tenth of 50 images are
    refused about one time in fourteen; and as N grows the rule becomes "no more than the margin lost".

    Args:
        challenger: the new model's answers.
        champion: the answers of the model in service, None before the first.
        labels: int [N], the true classes, as positions in the challenger's class list.
        margin: accuracy that may be lost, as a share.
    """
    reasons = _unfit(challenger, len(labels))
    if champion is not None and challenger.spec.version <= champion.spec.version:
        reasons.append(
            f"version {challenger.spec.version} is not newer than version {champion.spec.version} in service"
        )
    if reasons:
        return Decision(promote=False, reasons=tuple(reasons))
    if champion is None or not champion.spec.has_head:
        return Decision(promote=True, reasons=("the first model with classes: nothing to compare it with",))
    reasons = _incomparable(challenger, champion)
    if reasons:
        return Decision(promote=False, reasons=tuple(reasons))
    return _non_inferior(challenger, champion, labels, margin)


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


def _incomparable(challenger: Answers, champion: Answers) -> list[str]:
    new, old = challenger.spec, champion.spec
    reasons = []
    if new.classes != old.classes:
        reasons.append(
            f"the classes changed from {', '.join(old.classes)} to {', '.join(new.classes)}: "
            "put the backbone alone into service to start anew"
        )
    if champion.probabilities is None or challenger.probabilities is None:
        reasons.append("the model in service gave no answers to compare with")
    elif champion.probabilities.shape != challenger.probabilities.shape:
        reasons.append("the two models did not answer on the same images")
    return reasons


def _non_inferior(
    challenger: Answers, champion: Answers, labels: npt.NDArray[np.int64], margin: float
) -> Decision:
    if not len(labels):
        return Decision(promote=False, reasons=(_NO_AUDIT,))
    new, old = _right(challenger, labels), _right(champion, labels)
    difference = float(new.mean() - old.mean())
    interval = evaluation.paired_difference(new, old)
    bound = evaluation.paired_difference(new, old, STANDARD_ERRORS).high
    shown = (
        f"accuracy {new.mean():.3f} against {old.mean():.3f} on {len(labels)} audit images "
        f"(difference {difference:+.3f}, 95 % interval {interval.low:+.3f} to {interval.high:+.3f})"
    )
    worse = bound < -margin
    return Decision(not worse, (f"worse than the model in service: {shown}" if worse else shown,))


def _right(answers: Answers, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    if answers.probabilities is None:
        raise ValueError("a model without answers cannot be compared")
    right: npt.NDArray[np.bool_] = answers.probabilities.argmax(axis=1) == labels
    return right
