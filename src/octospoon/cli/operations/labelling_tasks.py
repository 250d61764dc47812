"""The open tasks of a deployment's Label Studio project, as `status` and `doctor` ask for them."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from octospoon.runtime.aws import CLOCK
from octospoon.usecases.open_tasks import OpenTasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.deployment import Deployment


@contextmanager
def open_tasks(deployment: Deployment) -> Iterator[OpenTasks]:
    """Connect to Label Studio with the settings that the functions have."""
    with closing(deployment.label_studio()) as api:
        labeler = deployment.labeler(api)
        yield OpenTasks(labeler, deployment.pool, CLOCK, int(deployment.outputs["OpenTaskDays"]))
