"""`octospoon doctor` checks the queue and the machines of AWS Batch; the answers follow AWS's models."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.cli.doctor import training
from octospoon.domain.health import CheckResult

QUEUE = {
    "jobQueueName": "queue",
    "jobQueueArn": "arn:queue",
    "state": "ENABLED",
    "status": "VALID",
    "priority": 1,
    "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "arn:machines"}],
}
MACHINES = {
    "computeEnvironmentName": "machines",
    "computeEnvironmentArn": "arn:machines",
    "state": "ENABLED",
    "status": "VALID",
    "computeResources": {
        "type": "SPOT",
        "maxvCpus": 256,
        "subnets": ["subnet-1"],
        "instanceTypes": ["g5", "g6"],
    },
}


def training_machines(queues: list[Any], machines: list[Any]) -> CheckResult:
    client = boto3.client(
        "batch", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    deployment: Any = SimpleNamespace(
        outputs={"Launcher": "batch", "TrainingJobQueue": "arn:queue"}, client=lambda _: client
    )
    (check,) = [
        candidate for candidate in training.checks(deployment) if candidate.name == "training machines"
    ]
    with Stubber(client) as stub:
        stub.add_response("describe_job_queues", {"jobQueues": queues}, {"jobQueues": ["arn:queue"]})
        stub.add_response(
            "describe_compute_environments",
            {"computeEnvironments": machines},
            {"computeEnvironments": ["arn:machines"]},
        )
        return check.made(deployment)


def test_queue_and_machines_that_are_ready_are_shown() -> None:
    assert training_machines([QUEUE], [MACHINES]) == CheckResult("training machines", True, "g5, g6, SPOT")
    assert training_machines([QUEUE], [MACHINES | {"status": "UPDATING"}]).ok


@pytest.mark.parametrize(
    ("queues", "machines", "problem"),
    [
        ([], [], "AWS Batch has no queue for the jobs, or the queue has no machines"),
        ([QUEUE], [], "AWS Batch does not have the machines of the queue"),
        ([QUEUE | {"state": "DISABLED"}], [MACHINES], "queue is DISABLED and VALID: no reason"),
        (
            [QUEUE],
            [MACHINES | {"status": "INVALID", "statusReason": "CLIENT_ERROR - not authorized"}],
            "machines is ENABLED and INVALID: CLIENT_ERROR - not authorized",
        ),
    ],
)
def test_what_cannot_start_machines_is_named(queues: list[Any], machines: list[Any], problem: str) -> None:
    result = training_machines(queues, machines)
    assert (result.ok, result.message) == (False, problem)
    assert "train-on-a-gpu.md" in result.advice


def test_trainer_without_its_program_is_named() -> None:
    def result(**outputs: str) -> CheckResult:
        deployment: Any = SimpleNamespace(outputs={"Launcher": "queue", "Trainer": "command"} | outputs)
        return training.checks(deployment)[1].made(deployment)

    missing = result(TrainerCommand="")
    assert not missing.ok
    assert missing.message == "Trainer=command has no TrainerCommand, so every training job fails"
    assert "train-with-your-own-program.md" in missing.advice
    assert result(TrainerCommand="python train.py").ok


@pytest.mark.parametrize("launcher", ["queue", "ecs"])
def test_stacks_without_batch_are_not_asked(launcher: str) -> None:
    deployment: Any = SimpleNamespace(outputs={"Launcher": launcher})
    assert [check.name for check in training.checks(deployment)] == ["training"]
