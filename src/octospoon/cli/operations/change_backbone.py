"""Changes the backbone of a deployment that has images, or gives the old backbone back.

The record of the change is in the deployment, so that a command that was interrupted goes on when it is run
again, on any machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from octospoon.cli.operations import backbone_plan, rescore, run_now
from octospoon.cli.operations.read_again import read_all
from octospoon.domain.errors import BadRequest, OctospoonError
from octospoon.domain.training.backbone_change import Stage
from octospoon.domain.training.jobs import JobStatus
from octospoon.training.model import model_file
from octospoon.usecases.change_backbone import ChangeBackbone, job_runs, waits_for_a_start
from octospoon.usecases.promote_version import PromoteVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.backbone_plan import Choice, Plan
    from octospoon.domain.training.backbone_change import BackboneChange
    from octospoon.domain.training.jobs import TrainingState

_PAUSE = 2.0
_NUDGE = 30.0
"""Seconds between two attempts to start a job that is due."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a change.

    Attributes:
        backbone: name of the new backbone.
        stage: how far the change is.
        reason: why it ended; empty if it was complete before.
        model_version: version of the model in service.
        read: images that were read again.
        left: images that could not be read.
    """

    backbone: str
    stage: Stage
    reason: str
    model_version: int
    read: int = 0
    left: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether the requested change is complete."""
        return self.stage in (Stage.SERVING, Stage.REVOKED)


@dataclass(frozen=True, slots=True)
class BackboneUse:
    """The operation.

    Attributes:
        deployment: the deployment.
        agree: asks a person whether a plan may be carried out; raises BadRequest if not.
        tell: receives a line whenever something happens.
    """

    deployment: Deployment
    agree: Callable[[Plan], None]
    tell: Callable[[str], None]

    def use(self, choice: Choice) -> Result:
        """Change to a backbone, or continue an interrupted change to it.

        Raises:
            BadRequest: the person does not agree, or there is no audit label.
            Conflict: another change is under way.
        """
        case = self._case()
        change, serving = case.newest(), case.serving()
        if change is None or not change.is_open:
            if serving.backbone == choice.backbone:
                return self._complete(choice, change)
            self.agree(backbone_plan.plan(self.deployment, choice, serving))
        else:
            self.tell(f"the change to {change.candidate.name} is under way and goes on")
        change = case.request(choice.name, choice.model, choice.backbone)
        if change.is_open:
            self.tell("this command may be stopped and run again; the training job goes on by itself")
            change = self._followed()
        if change.stage is not Stage.SERVING:
            return Result(choice.name, change.stage, change.reason, case.serving().version)
        self.tell(f"{choice.name} is in service, with version {case.serving().version}: {change.reason}")
        return self._read(choice.name, Stage.SERVING, change.reason)

    def revoke(self) -> Result:
        """Give up the newest change, and serve the model from before it.

        Raises:
            NotConfigured: there is no change to revoke.
            BadRequest: the person does not agree.
        """
        case = self._case()
        change = case.newest()
        if change is not None and change.stage in (Stage.REQUESTED, Stage.SERVING):
            self.agree(self._way_back(change))
        change = case.revoke()
        control, clock = self.deployment.control, time.time
        while job_runs(control.state(), change, clock()):
            self.tell(f"waiting for job {control.state().job_id}, which still uses {change.candidate.name}")
            time.sleep(5 * _PAUSE)
        pointer = case.give_back(change)
        self.tell(
            f"the change to {change.candidate.name} is revoked; version {pointer.version} is in service"
        )
        return self._read(change.candidate.name, Stage.REVOKED, change.reason)

    def _case(self) -> ChangeBackbone:
        champions = self.deployment.champions
        promote = PromoteVersion(champions, self.deployment.entries)
        return ChangeBackbone(champions, self.deployment.control, promote)

    def _complete(self, choice: Choice, change: BackboneChange | None) -> Result:
        """Continue with the images if the backbone is in service already."""
        images = rescore.stale_images(self.deployment)
        requested = change is not None and change.candidate.backbone == choice.backbone
        if images and not (requested and change and change.stage is Stage.SERVING):
            serves = rescore.serving(self.deployment).version
            self.agree(backbone_plan.planned(self.deployment, choice, serves, images, (0, 0), trains=False))
        return self._read(choice.name, Stage.SERVING, "this backbone was in service already")

    def _read(self, name: str, stage: Stage, reason: str) -> Result:
        images = rescore.stale_images(self.deployment)
        version, left = rescore.serving(self.deployment).version, 0
        if images:
            self.tell(f"{len(images):,} images are read again, the newest uploads first")
            left = read_all(self.deployment, len(images))
        return Result(name, stage, reason, version, len(images) - left, left)

    def _followed(self) -> BackboneChange:
        """Wait until the change has ended, and report its progress."""
        last_message, nudged = "", 0.0
        while True:
            state = self.deployment.control.state()
            change = state.backbone_change
            if change is None:
                raise BadRequest("the record of the change is gone: run the command again")
            if not change.is_open:
                return change
            if (message := _news(state)) != last_message:
                self.tell(last_message := message)
            if waits_for_a_start(state) and time.monotonic() > nudged + _NUDGE:
                self._start()
                nudged = time.monotonic()
            time.sleep(_PAUSE)

    def _start(self) -> None:
        """Have `reconcile` start the job now; it also does so by its schedule."""
        try:
            run_now.reconcile(self.deployment)
        except OctospoonError as error:
            self.tell(f"the job could not be started now, trying again: {error}")

    def _way_back(self, change: BackboneChange) -> Plan:
        before, labels = change.before, list(self.deployment.labels.labelled())
        with TemporaryDirectory() as folder:
            model = self.deployment.champions.fetch(before, Path(folder)).read_bytes()
        spec = model_file.read_spec(model)
        name = f"the backbone of version {before.version}"  # of which there is no other name
        choice = backbone_plan.Choice(name, model, spec.backbone, spec.dim, 0.0)
        images = list(self.deployment.pool_report.of_others(spec.backbone))
        counts = (len(labels), sum(image.audit for image in labels))
        serves = rescore.serving(self.deployment).version
        plan = backbone_plan.planned(self.deployment, choice, serves, images, counts, trains=False)
        return replace(plan, given_up=change.candidate.name)


def _news(state: TrainingState) -> str:
    candidate = state.settings.candidate if state.settings else None
    change = state.backbone_change
    ours = change is not None and candidate == change.candidate
    if ours and state.status is JobStatus.LAUNCHING:
        return f"job {state.job_id} is launching"
    if ours and state.status is JobStatus.RUNNING:
        return f"job {state.job_id} reads the labelled images and trains a model"
    if state.status is JobStatus.FAILED:
        return f"job {state.job_id} failed and is tried again: {state.reason}"
    if state.status is JobStatus.IDLE:
        return "the training job for the new backbone is due"
    return f"waiting for job {state.job_id}, which began before"
