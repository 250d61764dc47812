"""The check of `octospoon doctor` whether something runs the training jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from octospoon.cli.doctor.check import Advised, Check
from octospoon.cli.operations.queues import depth
from octospoon.domain.training.health import lost, unread

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

_START = "run `octospoon worker --stack NAME` on any machine, or deploy with Launcher=ecs or batch"
_LOST = (
    "remove the cause (docs/how-to/training-does-not-start.md), then run `octospoon reconcile --full`, which "
    "starts the next job"
)


def checks() -> list[Check]:
    """Return the check of training."""
    return [Check("training", _training, "")]


def _training(deployment: Deployment) -> str:
    state = deployment.control.state()
    waiting, _ = depth(deployment.client("sqs"), deployment.outputs["TrainingQueueUrl"])
    if deployment.outputs["Launcher"] == "queue" and (problem := unread(state, waiting, time.time())):
        raise Advised(problem, _START)
    if problem := lost(state):
        raise Advised(problem, _LOST)
    return f"{state.job_id} is {state.status}" if state.job_id else "no job has begun yet"
