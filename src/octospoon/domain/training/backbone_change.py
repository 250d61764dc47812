"""A change of the backbone that a person requested: the request and its progress.

A deployment has at most one change at a time. The model that was in service keeps serving until a model with
the new backbone has passed the gate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from octospoon.domain.model_spec import ChampionPointer


class Stage(StrEnum):
    """The progress of a change of the backbone."""

    REQUESTED = "requested"
    SERVING = "serving"
    REFUSED = "refused"
    FAILED = "failed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backbone that is to replace the one in service.

    Attributes:
        name: for people.
        model: sha256 of its cold-start model file, hex.
        backbone: sha256 of the backbone itself, hex.
    """

    name: str
    model: str
    backbone: str

    def pointer(self) -> ChampionPointer:
        """Return the pointer to the cold-start model file."""
        return ChampionPointer.of(0, self.backbone, self.model)


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """A change of the backbone, for people and programs.

    Attributes:
        backbone: name of the new backbone.
        stage: how far the change is.
        reason: why it ended; empty while it is open.
    """

    backbone: str
    stage: Stage
    reason: str


@dataclass(frozen=True, slots=True)
class BackboneChange:
    """A change of the backbone.

    Attributes:
        candidate: the new backbone.
        before: the model in service when the change was requested.
        stage: how far it is.
        reason: why it ended, for people; empty while it is open.
        revision: increases with every change of this record.
    """

    candidate: Candidate
    before: ChampionPointer
    stage: Stage = Stage.REQUESTED
    reason: str = ""
    revision: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the new backbone is neither in service nor given up."""
        return self.stage is Stage.REQUESTED

    @property
    def needs_training(self) -> bool:
        """Whether a training job must make a model first, because the one in service predicts something."""
        return self.before.predicts

    def summary(self) -> ChangeSummary:
        """Return the change as `octospoon status` shows it."""
        return ChangeSummary(self.candidate.name, self.stage, self.reason)

    def at(self, stage: Stage, reason: str) -> BackboneChange:
        """Return the change at another stage."""
        return replace(self, stage=stage, reason=reason)

    def ended(self, serving: str, *, promoted: bool, reason: str) -> BackboneChange:
        """Return the change after a training job for it.

        Args:
            serving: sha256 of the backbone in service.
            promoted: whether the job's model went into service.
            reason: of the gate.
        """
        if promoted or serving == self.candidate.backbone:
            return self.at(Stage.SERVING, reason)
        return self.at(Stage.REFUSED, reason)


def next_candidate(change: BackboneChange | None) -> Candidate | None:
    """Return the backbone that the next training job must use; None for the one in service."""
    if change is None or not change.is_open or not change.needs_training:
        return None
    return change.candidate
