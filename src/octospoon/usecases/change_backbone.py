"""Change the backbone of a deployment that has images, or give the old backbone back.

A model that predicts classes or boxes is replaced by a training job: it makes a model on the new backbone,
and the gate judges it. A model without classes has no predictions to lose and is replaced at once. Afterwards
the images must be read again, because stored embeddings are of the other backbone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import Conflict, NotConfigured
from octospoon.domain.training.backbone_change import BackboneChange, Candidate, Stage, next_candidate

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.training.jobs import TrainingState
    from octospoon.ports.models import Champions
    from octospoon.ports.training import Control
    from octospoon.usecases.promote_version import PromoteVersion


@dataclass(frozen=True, slots=True)
class ChangeBackbone:
    """The use case. Every call may be repeated, also after it was interrupted.

    Attributes:
        champions: the pointer and the model files.
        control: the change, and the training job.
        promote: puts an earlier version into service.
    """

    champions: Champions
    control: Control
    promote: PromoteVersion

    def serving(self) -> ChampionPointer:
        """Return the pointer of the model in service.

        Raises:
            NotConfigured: there is none.
        """
        champion = self.champions.pointer()
        if champion is None:
            raise NotConfigured("there is no model yet: run `octospoon init-model` first")
        return champion[0]

    def newest(self) -> BackboneChange | None:
        """Return the newest change; None if there was none."""
        return self.control.state().backbone_change

    def request(self, name: str, model: bytes, backbone: str) -> BackboneChange:
        """Store a backbone and request that it replaces the one in service.

        An open change to the same backbone is continued. If the model in service has no classes, the change
        is complete when this returns.

        Args:
            name: of the backbone, for people.
            model: its cold-start model file.
            backbone: sha256 of the backbone itself, hex.

        Raises:
            Conflict: another change is open, or the model in service changed meanwhile.
        """
        change = self.newest()
        if change is None or not change.is_open:
            sha256, _ = self.champions.put_model(model, None)
            revision = change.revision if change else 0
            before = replace(self.serving(), previous=None)
            change = self._store(BackboneChange(Candidate(name, sha256, backbone), before, revision=revision))
        elif change.candidate.backbone != backbone:
            raise Conflict(
                f"a change of the backbone to {change.candidate.name} is under way: wait for it, or give it "
                "up with `octospoon backbone use --revoke`"
            )
        return change if change.needs_training else self._serve_at_once(change)

    def revoke(self) -> BackboneChange:
        """Give up the newest change: no later job uses its backbone.

        A job that uses it may still be running. Call `give_back` when `job_runs` is False.

        Raises:
            NotConfigured: there is no change to revoke, or a later model has another backbone.
        """
        change = self.newest()
        if change is None or change.stage in (Stage.REFUSED, Stage.FAILED):
            raise NotConfigured("there is no change of the backbone to revoke: the old backbone serves")
        if change.stage is Stage.REVOKED:
            return change
        if change.stage is Stage.SERVING and self.serving().backbone != change.candidate.backbone:
            raise NotConfigured(
                f"the backbone in service is no longer {change.candidate.name}: `octospoon model rollback "
                f"--to {change.before.version} --new-backbone` serves the version from before the change"
            )
        return self._store(change.at(Stage.REVOKED, "revoked by a person"))

    def give_back(self, change: BackboneChange) -> ChampionPointer:
        """Put the model from before a revoked change into service again, unless it stayed there.

        Returns:
            The pointer of the model in service now.

        Raises:
            BadModel: the files of that model are damaged; the model in service stays.
            Conflict: the pointer kept changing.
        """
        serving = self.serving()
        if serving.backbone != change.candidate.backbone:
            return serving
        if change.before.version == 0:
            self.champions.keep(replace(change.before, previous=None, generation=0))
        return self.promote(change.before.version, new_backbone=True)

    def _serve_at_once(self, change: BackboneChange) -> BackboneChange:
        champion = self.champions.pointer()
        if champion and champion[0].backbone != change.candidate.backbone:
            if champion[0].predicts:
                # a first model with classes went into service meanwhile
                return self._store(replace(change, before=replace(champion[0], previous=None)))
            pointer = change.candidate.pointer()
            self.champions.keep(pointer)
            if not self.champions.promote(pointer.after(champion[0]), champion[1]):
                raise Conflict("another model went into service meanwhile: run the command again")
        return self._store(change.at(Stage.SERVING, "the model in service had no classes"))

    def _store(self, change: BackboneChange) -> BackboneChange:
        if not self.control.change_backbone(change):
            raise Conflict("the change of the backbone has gone on meanwhile: run the command again")
        return replace(change, revision=change.revision + 1)


def job_runs(state: TrainingState, change: BackboneChange, now: float) -> bool:
    """Return whether a job for this change may still put its model into service.

    Args:
        state: of the training job.
        change: open or revoked.
        now: epoch seconds.
    """
    candidate = state.settings.candidate if state.settings else None
    return candidate == change.candidate and state.is_active and now <= state.lease_until


def waits_for_a_start(state: TrainingState) -> bool:
    """Return whether a job for the open change is due, and nothing has started it yet."""
    return next_candidate(state.backbone_change) is not None and not state.is_active
