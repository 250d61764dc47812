"""The part of a training job that changes the backbone on a person's request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from octospoon.domain.evaluation.gate import Decision
from octospoon.domain.training.backbone_change import Stage, next_candidate

if TYPE_CHECKING:
    from octospoon.domain.training.backbone_change import BackboneChange, Candidate
    from octospoon.training.context import TrainingPorts

_log = logging.getLogger(__name__)


def unless_revoked(
    decision: Decision, candidate: Candidate | None, change: BackboneChange | None
) -> Decision:
    """Return the gate's decision, or a refusal if the change was revoked while the model was trained.

    Args:
        decision: of the gate.
        candidate: the backbone that was requested for this job; None if none was.
        change: the newest change now.
    """
    if candidate is None or next_candidate(change) == candidate:
        return decision
    return Decision(promote=False, reasons=(f"the change of the backbone to {candidate.name} was revoked",))


def settle(ports: TrainingPorts, reason: str, *, promoted: bool) -> None:
    """End the change that this job was started for.

    Args:
        ports: of the job.
        reason: of the job's outcome.
        promoted: whether the job's model went into service.
    """
    change = _open_change(ports)
    if change is None:
        return
    champion = ports.champions.pointer()
    serving = champion[0].backbone if champion else ""
    _end(ports, change.ended(serving, promoted=promoted, reason=reason))


def give_up(ports: TrainingPorts, reason: str) -> None:
    """End the change that this job was started for after an error that would come again.

    Otherwise every later job would fail as well, and no label would be learned.
    """
    change = _open_change(ports)
    if change is not None:
        _end(ports, change.at(Stage.FAILED, reason))


def _open_change(ports: TrainingPorts) -> BackboneChange | None:
    change = ports.control.state().backbone_change
    if ports.candidate is None or next_candidate(change) != ports.candidate:
        return None
    return change


def _end(ports: TrainingPorts, change: BackboneChange) -> None:
    if not ports.control.change_backbone(change):
        _log.info("the change of the backbone to %s was revoked meanwhile", change.candidate.name)
