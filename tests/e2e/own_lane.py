"""A stack of its own for one kind of label, over the mosaics of digits."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.helpers import scored, upload

from octospoon.cli.datasets import mosaics
from octospoon.cli.local.assemble import assemble
from octospoon.cli.stack import start
from octospoon.domain.errors import NotConfigured
from octospoon.training.model.model_file import starter_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from octospoon.cli.local.assemble import LocalStack
    from octospoon.cli.stack.running import RunningStack
    from octospoon.domain.labelling.tasks import Round

ROOT = Path(__file__).parents[2]


@dataclass
class OwnLane:
    """A running stack, and the parameters that it was deployed with."""

    servers: RunningStack
    stack: LocalStack
    parameters: Mapping[str, str]

    @property
    def deployment(self) -> Any:
        return self.stack.deployment

    def round(self, number: int) -> Round:
        round_: Round = self.deployment.rounds.read(number)
        return round_

    def tasks(self, number: int) -> dict[str, int]:
        """Return the tasks of a round by key."""
        picks = self.round(number).picks
        labeler = self.deployment.labeler(self.stack.label_studio)
        tasks = labeler.find({pick.key: pick.etag for pick in picks})
        return {pick.key: tasks[pick.key] for pick in picks}

    def stored(self) -> dict[str, str]:
        """Return the labels in the table by key."""
        return {image.key: image.label for image in self.deployment.pool_report.labelled()}

    def interface(self) -> str:
        """Return the labelling interface of the project."""
        number = self.stack.project.label_studio_project
        return str(self.stack.label_studio.call("GET", f"/api/projects/{number}")["label_config"])

    def refuses_another_type(self) -> None:
        """Check that no other task type can be deployed over the labels."""
        kept = self.parameters["TaskType"]
        with pytest.raises(NotConfigured, match=f"labels of the task type {kept}"):
            assemble(self.servers, mosaics.CLASSES, print, {**self.parameters, "TaskType": "classification"})
        assert self.deployment.outputs["TaskType"] == kept


def parameters(task_type: str, batch: int, **more: str) -> dict[str, str]:
    """Return the parameters of a stack that chooses a batch on request only, and trains after each."""
    return {
        "TaskType": task_type,
        "RankTriggers": "schedule",
        "RankSchedule": "rate(1 day)",
        "BatchSize": str(batch),
        "FirstBatchSize": str(batch),
        "TrainingThreshold": str(batch),
        **more,
    }


@contextmanager
def own_lane(
    given: Mapping[str, str], files: Mapping[str, bytes], first: Callable[[], bytes] = starter_model
) -> Iterator[OwnLane]:
    """Start a stack, upload the images, and wait until they are scored."""
    with start(ROOT, progress=print, fresh=True, name=given["TaskType"]) as servers:
        stack = assemble(servers, mosaics.CLASSES, print, dict(given), first)
        upload(stack.deployment, dict(files))
        scored(stack.deployment, list(files), seconds=300)
        yield OwnLane(servers, stack, given)
        stack.label_studio.close()
