"""The checks of `octospoon doctor` whether something runs the training jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from octospoon.cli.doctor.check import Advised, Check
from octospoon.cli.operations.queues import depth
from octospoon.domain.errors import NotConfigured
from octospoon.domain.training.health import lost, unread

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

_START = "run `octospoon worker --stack NAME` on any machine, or deploy with Launcher=ecs or batch"
_LOST = (
    "remove the cause (docs/how-to/training-does-not-start.md), then run `octospoon reconcile --full`, which "
    "starts the next job"
)


_COMMAND = "deploy with TrainerCommand (docs/how-to/train-with-your-own-program.md), and start workers again"
_READY = ("VALID", "UPDATING")
_MACHINES = "correct the parameters of Launcher=batch (docs/how-to/train-on-a-gpu.md), and deploy again"


def checks(deployment: Deployment) -> list[Check]:
    """Return the checks of training that apply to this stack."""
    checks = [Check("training", _training, "")]
    if deployment.outputs.get("Trainer") == "command":
        checks.append(Check("training program", _program, _COMMAND))
    if deployment.outputs.get("Launcher") == "batch":
        checks.append(Check("training machines", _machines, _MACHINES))
    return checks


def _training(deployment: Deployment) -> str:
    state = deployment.control.state()
    waiting, _ = depth(deployment.client("sqs"), deployment.outputs["TrainingQueueUrl"])
    if deployment.outputs["Launcher"] == "queue" and (problem := unread(state, waiting, time.time())):
        raise Advised(problem, _START)
    if problem := lost(state):
        raise Advised(problem, _LOST)
    return f"{state.job_id} is {state.status}" if state.job_id else "no job has begun yet"


def _program(deployment: Deployment) -> str:
    """Check that the stack names a program; whether it exists is known only where the jobs run."""
    command = deployment.outputs.get("TrainerCommand", "")
    if not command:
        raise NotConfigured("Trainer=command has no TrainerCommand, so every training job fails")
    return command


def _machines(deployment: Deployment) -> str:
    """Check that the queue of AWS Batch takes jobs, and that machines can be started for it."""
    batch = deployment.client("batch")
    queues = batch.describe_job_queues(jobQueues=[deployment.outputs["TrainingJobQueue"]])["jobQueues"]
    names = [member["computeEnvironment"] for queue in queues for member in queue["computeEnvironmentOrder"]]
    if not names:
        raise NotConfigured("AWS Batch has no queue for the jobs, or the queue has no machines")
    environments = batch.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
    if not environments:
        raise NotConfigured("AWS Batch does not have the machines of the queue")
    for resource in (*queues, *environments):
        if resource["state"] != "ENABLED" or resource["status"] not in _READY:
            name = resource.get("jobQueueName") or resource["computeEnvironmentName"]
            raise NotConfigured(
                f"{name} is {resource['state']} and {resource['status']}: "
                f"{resource.get('statusReason', 'no reason')}"
            )
    machines = environments[0]["computeResources"]
    return f"{', '.join(machines['instanceTypes'])}, {machines['type']}"
