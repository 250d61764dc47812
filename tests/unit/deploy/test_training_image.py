"""infra/training/image.yaml: the repository stays, and the build may do what it does and no more."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import yaml
from unit.deploy.intrinsics import ROOT, listed

from octospoon.cli.deploy import sam_template
from octospoon.cli.operations.aws.image.source import PLATFORMS, ImageSource

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = sam_template.read(ROOT / "infra/training/image.yaml")
RESOURCES = TEMPLATE["Resources"]
REPOSITORY = RESOURCES["Repository"]
PROJECT = RESOURCES["BuildProject"]["Properties"]
BUILDSPEC = yaml.safe_load(PROJECT["Source"]["BuildSpec"])
COMMANDS = [each for phase in BUILDSPEC["phases"].values() for each in phase["commands"]]


def test_images_stay_when_their_stack_goes() -> None:
    # and a stack that was never created completely leaves nothing behind
    assert REPOSITORY["DeletionPolicy"] == "RetainExceptOnCreate"
    assert REPOSITORY["UpdateReplacePolicy"] == "Retain"


def test_a_tag_names_one_image_which_is_scanned_and_encrypted() -> None:
    properties = REPOSITORY["Properties"]
    assert properties["ImageTagMutability"] == "IMMUTABLE"
    assert properties["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert properties["EncryptionConfiguration"]["EncryptionType"] == "KMS"
    assert properties["Tags"] == [{"Key": "octospoon", "Value": {"Ref": "AWS::StackName"}}]


def test_the_newest_images_stay_in_the_repository() -> None:
    rules = json.loads(REPOSITORY["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert [rule["selection"]["tagStatus"] for rule in rules] == ["untagged", "any"]
    # "any" must have the last priority:
    # https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
    assert [rule["rulePriority"] for rule in rules] == [1, 2]
    assert rules[1]["selection"]["countNumber"] == 10


def test_the_build_has_the_rights_that_its_commands_need() -> None:
    role = RESOURCES["BuildRole"]["Properties"]
    statements = {
        each["Sid"]: each for policy in role["Policies"] for each in policy["PolicyDocument"]["Statement"]
    }
    # https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
    assert set(statements["PushImage"]["Action"]) == {
        "ecr:BatchCheckLayerAvailability",
        "ecr:CompleteLayerUpload",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    }
    everywhere = [each["Action"] for each in statements.values() if listed(each["Resource"]) == ["*"]]
    assert everywhere == [["ecr:GetAuthorizationToken"]]
    assert statements["PushImage"]["Resource"][0]["Fn::Sub"].endswith(":repository/${RepositoryName}")
    assert statements["ReadSources"]["Resource"][0]["Fn::Sub"].endswith(":::${SourceBucket}/training/*")
    log_group = RESOURCES["BuildLogGroup"]["Properties"]["LogGroupName"]["Fn::Sub"]
    assert statements["WriteLogs"]["Resource"][0]["Fn::Sub"].endswith(f":log-group:{log_group}:*")
    trust = role["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_machine_is_of_the_images_kind() -> None:
    environment = PROJECT["Environment"]
    assert environment["Type"] == {"Fn::If": ["IsArm", "ARM_CONTAINER", "LINUX_CONTAINER"]}
    image = environment["Image"]["Fn::If"]
    assert [image[0], "aarch64" in image[1], "x86_64" in image[2]] == ["IsArm", True, True]
    variables = {each["Name"]: each["Value"] for each in environment["EnvironmentVariables"]}
    assert variables["PLATFORM"] == {"Fn::If": ["IsArm", PLATFORMS["ARM64"], PLATFORMS["X86_64"]]}
    assert environment["PrivilegedMode"] is True
    assert set(TEMPLATE["Parameters"]["TrainingArchitecture"]["AllowedValues"]) == set(PLATFORMS)


def test_the_build_knows_every_variable_that_it_uses() -> None:
    used = set(re.findall(r"\$\{?([A-Z_]+)", "\n".join(COMMANDS)))
    given = {each["Name"] for each in PROJECT["Environment"]["EnvironmentVariables"]}
    brought = {"IMAGE_TAG", "REQUIREMENTS", "BASE_IMAGE"}  # see CodeBuild._start
    assert used == (given | brought) - {"BUILDX_NO_DEFAULT_ATTESTATIONS"}
    assert ImageSource.__dataclass_fields__.keys() >= {"requirements", "base_image"}


def test_an_image_is_pushed_only_after_it_was_built() -> None:
    # CodeBuild runs post_build after a build that failed
    assert list(BUILDSPEC["phases"]) == ["pre_build", "build"]
    assert [command.split()[1] for command in BUILDSPEC["phases"]["build"]["commands"]] == ["build", "push"]
    assert "--password-stdin" in COMMANDS[0]


def test_the_builds_commands_call_docker_with_the_same_arguments(tmp_path: Path) -> None:
    # neither Docker nor AWS is here: programs of their names record what they are called with
    record = tmp_path / "calls"
    for name, does in {
        "docker": f'printf "%s|" "$@" >> {record}; echo >> {record}',
        "aws": "echo token",
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    given = {
        "REPOSITORY": "1.dkr.ecr.eu-west-1.amazonaws.com/octospoon/prod",
        "PLATFORM": "linux/arm64",
        "IMAGE_TAG": "training-arm64-1",
        "REQUIREMENTS": "training",
        "BASE_IMAGE": "public.ecr.aws/docker/library/python:3",
        "PATH": f"{tmp_path}:/usr/bin:/bin",
    }
    for command in COMMANDS:
        subprocess.run(["sh", "-c", command], env=given, check=True, stdin=subprocess.DEVNULL)
    login, built, pushed = (line.split("|")[:-1] for line in record.read_text().splitlines())
    registry = "1.dkr.ecr.eu-west-1.amazonaws.com"
    image = f"{registry}/octospoon/prod:training-arm64-1"
    assert login == ["login", "--username", "AWS", "--password-stdin", registry]
    assert built == [
        *("build", "--platform", "linux/arm64", "--file", "infra/training/Dockerfile"),
        *("--build-arg", "BASE_IMAGE=public.ecr.aws/docker/library/python:3"),
        *("--build-arg", "REQUIREMENTS=training", "--tag", image, "."),
    ]
    assert pushed == ["push", image]
