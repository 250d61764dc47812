"""What ECS is asked for, held to AWS's model of RunTask: LocalStack's ECS knows no capacity providers."""

from __future__ import annotations

from dataclasses import replace

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.adapters.aws.ecs_launcher import EcsLauncher, EcsTarget
from octospoon.domain.errors import ServiceUnavailable

TARGET = EcsTarget("cluster", "definition:3", "trainer", ("subnet-1", "subnet-2"), ("sg-1",))


@pytest.fixture(name="ecs")
def stubbed():
    client = boto3.client(
        "ecs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def asked(capacity: str) -> dict[str, object]:
    return {
        "cluster": "cluster",
        "taskDefinition": "definition:3",
        "capacityProviderStrategy": [{"capacityProvider": capacity, "weight": 1}],
        "clientToken": "train-000007",
        "startedBy": "train-000007",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-1", "subnet-2"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "ENABLED",
            }
        },
        "overrides": {
            "containerOverrides": [{"name": "trainer", "command": ["run", "--job-id", "train-000007"]}]
        },
    }


@pytest.mark.parametrize("capacity", ["FARGATE", "FARGATE_SPOT"])
def test_job_is_one_task_on_the_chosen_capacity(ecs, capacity):
    client, stubber = ecs
    stubber.add_response("run_task", {"tasks": [{}], "failures": []}, asked(capacity))
    EcsLauncher(client, replace(TARGET, capacity=capacity)).launch("train-000007")


def test_a_task_that_finds_no_machine_is_tried_again_later(ecs):
    client, stubber = ecs
    failure = {"arn": "a", "reason": "RESOURCE:CPU"}
    stubber.add_response("run_task", {"tasks": [], "failures": [failure]}, asked("FARGATE"))
    with pytest.raises(ServiceUnavailable, match="RESOURCE:CPU"):
        EcsLauncher(client, TARGET).launch("train-000007")
