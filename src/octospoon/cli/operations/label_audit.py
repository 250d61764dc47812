"""Draws imported labels for people to confirm, and reports how many of them were right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.cli.operations import run_now
from octospoon.domain.errors import NotConfigured, OctospoonError
from octospoon.domain.evaluation import estimators
from octospoon.runtime.aws import CLOCK
from octospoon.usecases.draw_audit import DrawAudit

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.domain.evaluation.estimators import Estimate
    from octospoon.domain.labelling.imported import Confirmation
    from octospoon.usecases.draw_audit import AuditDraw

_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The number of drawn imported labels that people confirmed.

    Attributes:
        drawn: imported labels that were drawn for people to confirm.
        answered: those that people have answered.
        right: share of the answered ones on which people chose the imported class.
        others: some of those with another class.
    """

    drawn: int
    answered: int
    right: Estimate
    others: tuple[Confirmation, ...]


def draw(deployment: Deployment, count: int) -> tuple[AuditDraw, str]:
    """Draw imported labels for people to confirm, and export the tasks.

    Returns:
        The draw, and why its tasks are not exported yet; empty if they are.

    Raises:
        NotConfigured: there is no model, so that no image is in the pool.
        BadRequest: no image has an imported label that counts.
        ServiceUnavailable: another round is being exported.
    """
    champion = deployment.champions.pointer()
    if champion is None:
        raise NotConfigured("there is no model yet: run `octospoon init-model` first")
    drawn = DrawAudit(
        deployment.imported_labels,
        deployment.rounds,
        CLOCK,
        champion[0].version,
        deployment.control.state().jobs,
    )(count)
    try:
        run_now.rank(deployment)
    except OctospoonError as error:
        return drawn, f"the next run of `rank` exports the tasks ({error})"
    return drawn, ""


def confirmed(deployment: Deployment) -> Confirmed:
    """Return how many of the drawn imported labels people have confirmed so far.

    Classes that were merged count as one class.
    """
    history, labels = deployment.class_record().read(), deployment.task_type.labels
    drawn = list(deployment.imported_labels.confirmations())
    answered = [label for label in drawn if label.answered is not None]
    others = [
        replace(
            label,
            imported=labels.shown(label.imported, history),
            answered=labels.shown(label.answered, history),
        )
        for label in answered
        if label.answered is not None and not labels.same(label.imported, label.answered, history)
    ]
    right = estimators.proportion(len(answered) - len(others), len(answered))
    return Confirmed(len(drawn), len(answered), right, tuple(others[:_EXAMPLES]))
