"""Decide whether a new model may replace the one in service: the promotion gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from octospoon.domain.evaluation import gate_checks
from octospoon.domain.evaluation.gate_checks import Answers, Decision, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Targets: TypeAlias = npt.NDArray[Any]
    """The true labels of N images, an array with N rows whose form each task type chooses."""

__all__ = ["Answers", "Comparison", "Decision", "Rules", "decide", "of_project"]


class Comparison(Protocol):
    """How the models of one task type are compared on N audit images."""

    def invalid(self, challenger: Answers, n: int) -> list[str]:
        """Return the reasons why the new model's answers for n audit images are no predictions."""

    def unlike_its_judges(self, challenger: Answers, targets: Targets, rules: Rules) -> list[str]:
        """Return a reason if the served head is worse than the fold heads that are judged in its place.

        It was trained as they were, on the audit images too. So it can only be less accurate on these images
        if it is not the head that the record belongs to.

        Args:
            challenger: the new model's answers.
            targets: the true labels, as the task type has them.
            rules: the limits.
        """

    def first(self, challenger: npt.NDArray[np.floating], targets: Targets, rules: Rules) -> Decision:
        """Judge the first model with a head. There is no other to compare with, so it must beat guessing."""

    def successor(self, challenger: Answers, champion: Answers, targets: Targets, rules: Rules) -> Decision:
        """Judge a model on the audit images, beside the model in service."""


def decide(
    comparison: Comparison,
    challenger: Answers,
    champion: Answers | None,
    targets: Targets,
    rules: Rules | None = None,
) -> Decision:
    """Decide whether the challenger may replace the champion.

    This is a non-inferiority test on N audit images. Each model's answer for an image comes from a head that
    was not trained on it. The gate refuses the new model if the paired difference of the task type's metric
    plus `standard_errors` standard errors is below -margin. What else the task type compares, such as recall
    of each class, is tested in the same way.

    One standard error refuses a model with two more errors out of 10, or three more out of 50. It refuses
    equal models that differ on a tenth of 50 images about once in 14 times. As N grows, the rule becomes "no
    loss beyond the margin". ADR 5 says why neither bound of a 95 % interval would do.

    Args:
        comparison: of the task type.
        challenger: the new model's answers.
        champion: the answers of the model in service, None before the first.
        targets: the true labels in terms of the challenger's class list, as the task type has them.
        rules: the limits.
    """
    rules = rules or Rules()
    reasons = comparison.invalid(challenger, len(targets))
    reasons += gate_checks.too_costly(challenger, champion, rules)
    reasons += [] if reasons else comparison.unlike_its_judges(challenger, targets, rules)
    if champion is not None and challenger.spec.version <= champion.spec.version:
        reasons.append(
            f"version {challenger.spec.version} is not newer than version {champion.spec.version} in service"
        )
    if champion is not None:
        reasons += gate_checks.incomparable(challenger, champion)
    if reasons or challenger.probabilities is None:
        return Decision(promote=False, reasons=tuple(reasons))
    if champion is None or champion.probabilities is None:
        return comparison.first(challenger.probabilities, targets, rules)
    return comparison.successor(challenger, champion, targets, rules)


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
