"""The template's rules, read before CloudFormation reads them."""

from __future__ import annotations

import pytest
from unit.deploy.intrinsics import TEMPLATE, refused

from octospoon.cli.deploy.rules import check_rules, demanded
from octospoon.domain.errors import NotConfigured

FARGATE = {
    "Launcher": "ecs",
    "TrainingImageUri": "x:1",
    "TrainingSubnets": "subnet-1",
    "TrainingSecurityGroups": "sg-1",
    "MlflowTrackingUri": "https://mlflow.example.org",
}
BATCH = FARGATE | {"Launcher": "batch", "TrainingArchitecture": "X86_64"}


SETTINGS = [
    {},
    FARGATE,
    *(FARGATE | {name: ""} for name in FARGATE if name != "Launcher"),
    FARGATE | {"TrainingMemory": "4095"},
    FARGATE | {"TrainingCpu": "1024", "TrainingMemory": "8192"},
    *(FARGATE | {"TrainingCpu": str(1024 * cpus), "TrainingMemory": "1024"} for cpus in (1, 2, 4, 8, 16)),
    BATCH,
    *(BATCH | {name: ""} for name in FARGATE if name != "Launcher"),
    BATCH | {"TrainingArchitecture": "ARM64"},
    {"Launcher": "ecs"},
    {"TaskType": "multilabel"},
    {"TaskType": "multilabel", "Trainer": "finetune"},
    {"TaskType": "detection"},
    {"TaskType": "detection", "Trainer": "finetune"},
    {"TaskType": "detection", "Trainer": "finetune", "ClassWeights": "balanced"},
    {"TaskType": "detection", "Trainer": "command", "TrainerCommand": "t", "ClassWeights": "balanced"},
    {"Trainer": "command"},
    {"TrainerCommand": "train"},
    {"Trainer": "command", "TrainerCommand": "train"},
    {"ImagesPrefixes": "a/", "FunctionSubnets": "subnet-1"},
    {"ImagesKmsKeyArn": "arn:aws:kms:x", "FunctionSecurityGroups": "sg-1"},
]
"""Parameters that keep the rules, and for each assertion some that break it."""


@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_rules_are_read_as_cloudformation_reads_them(given: dict[str, str]) -> None:
    expected = refused(given)
    if not expected:
        check_rules(TEMPLATE, given)
        return
    with pytest.raises(NotConfigured) as error:
        check_rules(TEMPLATE, given)
    assert str(error.value).split(". ") == expected


def test_every_assertion_of_the_template_is_broken_once() -> None:
    described = {
        assertion["AssertDescription"]
        for rule in TEMPLATE["Rules"].values()
        for assertion in rule["Assertions"]
    }
    assert {description for given in SETTINGS for description in refused(given)} == described


def test_boxes_need_a_trainer_that_learns_them() -> None:
    with pytest.raises(NotConfigured, match="Trainer must be finetune or command"):
        check_rules(TEMPLATE, {"TaskType": "detection"})
    with pytest.raises(NotConfigured, match="ClassWeights must be none"):
        check_rules(TEMPLATE, {"TaskType": "detection", "Trainer": "finetune", "ClassWeights": "balanced"})
    check_rules(TEMPLATE, {"TaskType": "detection", "Trainer": "finetune"})


def test_demanded_parameters_are_those_that_no_rule_lets_be_empty() -> None:
    assert demanded(TEMPLATE, {}) == []
    assert demanded(TEMPLATE, FARGATE) == [name for name in TEMPLATE["Parameters"] if name in FARGATE][1:]
    assert demanded(TEMPLATE, {"Trainer": "command"}) == ["TrainerCommand"]
    assert demanded(TEMPLATE, {"FunctionSubnets": "subnet-1"}) == ["FunctionSecurityGroups"]


def test_every_launcher_but_the_queue_demands_an_image() -> None:
    launchers = TEMPLATE["Parameters"]["Launcher"]["AllowedValues"]
    demands = {name for name in launchers if "TrainingImageUri" in demanded(TEMPLATE, {"Launcher": name})}
    assert demands == {*launchers} - {"queue"}


def test_a_function_that_is_not_known_is_no_silent_pass() -> None:
    rule = {"Assertions": [{"Assert": {"Fn::EachMemberIn": [[], []]}, "AssertDescription": "x"}]}
    with pytest.raises(NotConfigured, match="Fn::EachMemberIn"):
        check_rules({"Parameters": {}, "Rules": {"New": rule}}, {})
