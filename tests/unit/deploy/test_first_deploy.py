"""What a first deployment to an empty AWS account meets, as the template answers it."""

from __future__ import annotations

import json

import pytest
from unit.deploy.intrinsics import (
    PSEUDO_PARAMETERS,
    RESOURCES,
    STACK_UUID,
    TEMPLATE,
    of,
    refused,
    resolved,
)

from octospoon.cli.deploy import sam_template

ECS = {
    "Launcher": "ecs",
    "TrainingImageUri": "image",
    "TrainingSubnets": "subnet-1",
    "TrainingSecurityGroups": "sg-1",
    "MlflowTrackingUri": "https://mlflow.example.org",
}
GIB = 1024
# AWS's table, from one vCPU on:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
FARGATE = {
    1024: range(2 * GIB, 8 * GIB + 1, GIB),
    2048: range(4 * GIB, 16 * GIB + 1, GIB),
    4096: range(8 * GIB, 30 * GIB + 1, GIB),
    8192: range(16 * GIB, 60 * GIB + 1, 4 * GIB),
    16384: range(32 * GIB, 120 * GIB + 1, 8 * GIB),
}


@pytest.mark.parametrize("cpu", FARGATE)
def test_exactly_the_sizes_of_fargate_are_allowed(cpu):
    assert TEMPLATE["Parameters"]["TrainingCpu"]["AllowedValues"] == list(FARGATE)
    tried = {size for sizes in FARGATE.values() for size in sizes} | {2000, 5000, 131072}
    for size in tried:
        broken = refused(ECS | {"TrainingCpu": str(cpu), "TrainingMemory": str(size)})
        assert bool(broken) == (size not in FARGATE[cpu]), size
        assert not refused({"TrainingCpu": str(cpu), "TrainingMemory": str(size)}), "the table is Fargate's"
    declaration = TEMPLATE["Parameters"]["TrainingMemory"]
    for size in (FARGATE[cpu][0], FARGATE[cpu][-1]):
        sam_template.check_value("TrainingMemory", declaration, str(size))


@pytest.mark.parametrize("missing", [name for name in ECS if name != "Launcher"])
def test_rules_name_what_fargate_lacks(missing):
    assert refused(ECS) == []
    assert refused(ECS | {missing: ""}) == [f"Launcher=ecs needs {missing}"]


def test_the_cluster_gets_capacity_after_its_service_linked_role():
    # CreateCluster with capacity providers cannot assume the role that it has just made
    cluster, capacity = RESOURCES["TrainingCluster"], RESOURCES["TrainingCapacityProviders"]
    assert "DependsOn" not in cluster
    assert "Properties" not in cluster
    assert capacity["DependsOn"] == "TrainingTask", "IAM needs seconds until ECS may assume the role"
    assert capacity["Properties"]["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    roles = json.dumps(RESOURCES["TrainingTask"]["Properties"])
    assert "TrainingRole" in roles
    assert "TrainingExecutionRole" in roles


@pytest.mark.parametrize("architecture", ["X86_64", "ARM64"])
def test_the_task_has_the_architecture_of_its_image(architecture):
    platform = of("AWS::ECS::TaskDefinition")["TrainingTask"]["RuntimePlatform"]
    given = {"TrainingArchitecture": architecture}
    assert resolved(platform, given) == {"OperatingSystemFamily": "LINUX", "CpuArchitecture": architecture}


@pytest.mark.parametrize("name", of("AWS::S3::Bucket"))
def test_bucket_names_hold_the_whole_id_of_their_stack(name):
    # the last part of the id may name a host, on which CloudFormation made stacks of others too
    kind = name.removesuffix("Bucket").lower()
    bucket = of("AWS::S3::Bucket")[name]["BucketName"]
    assert resolved(bucket, {}) == f"octospoon-{kind}-{STACK_UUID}"
    older = resolved(bucket, {"BucketNames": "name"})
    assert older == f"octospoon-{kind}-{STACK_UUID.rpartition('-')[2]}", "a stack of before keeps its buckets"


LONGEST = {
    "BucketName": 63,
    "DashboardName": 255,
    "Family": 255,
    "FunctionName": 64,
    "LogGroupName": 512,
    "Name": 1024,
}


def test_every_name_fits_a_stack_name_of_54_characters():
    stack = "My-Stack-" + "x" * 45
    for resource in RESOURCES.values():
        for kind, longest in LONGEST.items():
            if "AWS::StackName" in json.dumps(given := resource.get("Properties", {}).get(kind, "")):
                name = resolved(given, PSEUDO_PARAMETERS | {"AWS::StackName": stack})
                assert len(name) <= longest, name
                assert kind != "BucketName" or name == name.lower(), name


def test_a_failed_first_deployment_leaves_nothing():
    kept = {name for name, each in RESOURCES.items() if each.get("DeletionPolicy", "Delete") != "Delete"}
    assert kept == {*of("AWS::S3::Bucket"), *of("AWS::DynamoDB::Table")}
    assert {RESOURCES[name]["DeletionPolicy"] for name in kept} == {"RetainExceptOnCreate"}
