"""The rights that the template gives to parts outside AWS: Label Studio and a training worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from octospoon.cli.deploy import sam_template

TEMPLATE = sam_template.read(Path(__file__).parents[3] / "template.yaml")
RESOURCES, OUTPUTS = TEMPLATE["Resources"], TEMPLATE["Outputs"]
NOTHING = {"Ref": "AWS::NoValue"}


def statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    listed = policy["PolicyDocument"]["Statement"]
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in listed]


def given_to_label_studio() -> list[dict[str, Any]]:
    return [
        resource
        for resource in RESOURCES.values()
        if resource["Type"] == "AWS::IAM::Policy" and "LabelStudioUser" in json.dumps(resource)
    ]


def test_label_studio_may_only_list_and_read_images() -> None:
    actions = {
        action
        for policy in given_to_label_studio()
        for statement in statements(policy["Properties"])
        for action in statement["Action"]
    }
    assert actions == {"s3:ListBucket", "s3:GetObject", "kms:Decrypt"}
    conditions = {policy["Condition"] for policy in given_to_label_studio()}
    assert conditions == {"MakesImagesBucket", "HasImagesBucket"}


def test_label_studio_has_either_a_user_or_a_role() -> None:
    user = {"Fn::If": ["MakesLabelStudioUser", [{"Ref": "LabelStudioUser"}], NOTHING]}
    for policy in given_to_label_studio():
        properties = policy["Properties"]
        assert properties["Users"] == user
        assert "LabelStudioHasRole" in json.dumps(properties["Roles"])
        # two stacks may give rights to the same role
        assert "${AWS::StackName}" in properties["PolicyName"]["Fn::Sub"]
    assert RESOURCES["LabelStudioUser"]["Condition"] == "MakesLabelStudioUser"
    assert RESOURCES["LabelStudioUser"]["Properties"] == {"Path": "/octospoon/"}
    assert OUTPUTS["LabelStudioUser"]["Condition"] == "MakesLabelStudioUser"
    assert OUTPUTS["LabelStudioRole"]["Condition"] == "LabelStudioHasRole"


WORKER = {each["Sid"]: each for each in statements(RESOURCES["WorkerPolicy"]["Properties"])}


def test_a_worker_has_the_rights_of_a_training_task() -> None:
    (train,) = RESOURCES["TrainingRole"]["Properties"]["Policies"]
    given = RESOURCES["WorkerPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert [each for each in train["PolicyDocument"]["Statement"] if each not in given] == []


@pytest.mark.parametrize(
    "policy", ["TrainingReadsImages", "TrainingReadsExistingImages", "TrainingKmsPolicy"]
)
def test_a_worker_reads_what_a_training_task_reads(policy: str) -> None:
    given = [
        each["Fn::If"][1]
        for each in RESOURCES["WorkerPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if "Fn::If" in each
    ]
    assert [each for each in statements(RESOURCES[policy]["Properties"]) if each not in given] == []


def test_a_worker_takes_jobs_and_secrets_of_this_stack_alone() -> None:
    assert WORKER["TakeJobs"]["Resource"] == {"Fn::GetAtt": ["TrainingQueue", "Arn"]}
    assert set(WORKER["TakeJobs"]["Action"]) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
    }
    # of any id, because a request names the stack alone
    assert WORKER["FindTheStack"]["Resource"]["Fn::Sub"].endswith(":stack/${AWS::StackName}/*")
    assert WORKER["ReadSettings"]["Resource"]["Fn::Sub"].endswith("${AWS::StackName}-reconcile")
    assert WORKER["ReadSecret"]["Resource"] == {"Ref": "MlflowPasswordSecretArn"}
    assert WORKER["ReadToken"]["Resource"] == {"Ref": "DagshubTokenSecretArn"}
    assert not [each for each in WORKER.values() if "*" in json.dumps(each["Action"])]
    assert OUTPUTS["WorkerPolicyArn"]["Condition"] == RESOURCES["WorkerPolicy"]["Condition"]
