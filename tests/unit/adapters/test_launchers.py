"""What ECS is asked for, held to AWS's model of RunTask: LocalStack's ECS knows no capacity providers."""

from __future__ import annotations

import re
from dataclasses import replace

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.adapters.aws.ecs_launcher import EcsLauncher, EcsTarget
from octospoon.adapters.aws.sqs_launcher import QueueLauncher
from octospoon.domain.errors import PermanentError, RetryableError, ServiceUnavailable

TARGET = EcsTarget("cluster", "definition:3", "trainer", ("subnet-1", "subnet-2"), ("sg-1",))


@pytest.fixture(name="ecs")
def stubbed():
    client = boto3.client(
        "ecs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def asked(capacity: str, address: str = "ENABLED") -> dict[str, object]:
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
                "assignPublicIp": address,
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


def test_task_in_a_private_subnet_gets_no_public_address(ecs):
    client, stubber = ecs
    stubber.add_response("run_task", {"tasks": [{}], "failures": []}, asked("FARGATE", "DISABLED"))
    EcsLauncher(client, replace(TARGET, public_ip="DISABLED")).launch("train-000007")


def test_a_task_that_finds_no_machine_is_tried_again_later(ecs):
    client, stubber = ecs
    failure = {"arn": "a", "reason": "RESOURCE:CPU"}
    stubber.add_response("run_task", {"tasks": [], "failures": [failure]}, asked("FARGATE"))
    with pytest.raises(ServiceUnavailable, match="RESOURCE:CPU"):
        EcsLauncher(client, TARGET).launch("train-000007")


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        ("InvalidParameterException", "Error retrieving subnet information for [subnet-1]", 400),
        ("AccessDeniedException", "User is not authorized to perform: ecs:RunTask", 400),
        ("ClusterNotFoundException", "Cluster not found.", 400),
        ("ClientException", "TaskDefinition is inactive", 400),
        ("PlatformTaskDefinitionIncompatibilityException", "not on this platform", 400),
    ],
)
def test_task_that_can_never_start_is_refused_with_the_reason(ecs, code, message, status):
    client, stubber = ecs
    stubber.add_client_error("run_task", code, message, status, expected_params=asked("FARGATE"))
    with pytest.raises(PermanentError, match="starting the task of train-000007: .*" + re.escape(message)):
        EcsLauncher(client, TARGET).launch("train-000007")


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        ("ServerException", "Service Unavailable", 500),
        ("ThrottlingException", "Rate exceeded", 400),
        ("LimitExceededException", "too many", 400),
        ("ClientException", "Capacity is unavailable at this time. Please try again later", 400),
        ("ClientException", "You've reached the limit on the number of vCPUs you can run concurrently", 400),
    ],
)
def test_task_that_may_start_later_is_tried_again(ecs, code, message, status):
    client, stubber = ecs
    stubber.add_client_error("run_task", code, message, status, expected_params=asked("FARGATE"))
    with pytest.raises(RetryableError, match=re.escape(message)):
        EcsLauncher(client, TARGET).launch("train-000007")


@pytest.mark.parametrize("reason", ["MISSING", "ATTRIBUTE", "LOCATION"])
def test_failure_that_only_a_person_can_mend_is_refused(ecs, reason):
    client, stubber = ecs
    stubber.add_response("run_task", {"tasks": [], "failures": [{"reason": reason}]}, asked("FARGATE"))
    with pytest.raises(PermanentError, match=f"ECS answers {reason}"):
        EcsLauncher(client, TARGET).launch("train-000007")


def test_queue_that_does_not_exist_is_refused():
    client = boto3.client(
        "sqs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stubber:
        stubber.add_client_error("send_message", "QueueDoesNotExist", "no such queue", 400)
        with pytest.raises(PermanentError, match=r"queueing train-000007: .*no such queue"):
            QueueLauncher(client, "https://queue").launch("train-000007")
