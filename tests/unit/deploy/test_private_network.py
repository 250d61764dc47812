"""Functions and training tasks in private subnets: rights, rules, and endpoints for what they call."""

from __future__ import annotations

import pytest
from unit.deploy.intrinsics import RESOURCES, ROOT, listed, name_in, of, refused, resolved

from octospoon.cli.deploy import sam_template

GIVEN = {"FunctionSubnets": "subnet-1a,subnet-1b", "FunctionSecurityGroups": "sg-1"}
INSIDE = {"RankFunction", "ReconcileFunction"}
ENDPOINTS = sam_template.read(ROOT / "infra/network/endpoints.yaml")["Resources"]


@pytest.mark.parametrize("name", of("AWS::Serverless::Function"))
def test_only_functions_that_call_label_studio_join_the_network(name):
    properties = RESOURCES[name]["Properties"]
    calls = "OCTOSPOON_LABEL_STUDIO_URL" in properties["Environment"]["Variables"]
    assert calls == (name in INSIDE)
    assert resolved(properties.get("VpcConfig"), {}) is None
    if calls:
        config = {"SubnetIds": ["subnet-1a", "subnet-1b"], "SecurityGroupIds": ["sg-1"]}
        assert resolved(properties["VpcConfig"], GIVEN) == config
    else:
        assert "VpcConfig" not in properties


@pytest.mark.parametrize("name", of("AWS::Serverless::Function"))
def test_interfaces_are_made_by_lambda_and_not_by_code(name):
    role = RESOURCES[name_in(RESOURCES[name]["Properties"]["Role"])]["Properties"]
    conditional = [each for each in role["Policies"] if "Fn::If" in each]
    assert resolved(conditional, {}) == []
    assert len(conditional) == (name in INSIDE)
    for policy in conditional:  # with the role, because Lambda creates no such function before
        (statement,) = resolved(policy, GIVEN)["PolicyDocument"]["Statement"]
        # https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
        assert statement["Condition"] == {"Null": {"lambda:SourceFunctionArn": "true"}}
        assert "ec2:CreateNetworkInterface" in statement["Action"]


@pytest.mark.parametrize("missing", GIVEN)
def test_subnets_and_security_groups_come_together(missing):
    (present,) = GIVEN.keys() - {missing}
    assert refused(GIVEN) == []
    assert refused(GIVEN | {missing: ""}) == [f"{present} needs {missing}"]


def services(*roles):
    """Return the services that roles may call, without those that AWS calls for them."""
    policies = [policy for role in roles for policy in RESOURCES[role]["Properties"]["Policies"]]
    policies = [policy for policy in policies if "Fn::If" not in policy]
    for policy in of("AWS::IAM::Policy").values():
        if any({"Ref": role} in listed(policy.get("Roles")) for role in roles):
            policies.append(policy)
    statements = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
    found = [each["Fn::If"][1] if "Fn::If" in each else each for each in statements]
    return {action.split(":")[0] for each in found for action in listed(each["Action"])}


def endpoints(*conditions):
    found = {
        listed(each["Properties"]["ServiceName"]["Fn::Sub"])[0].partition("${AWS::Region}.")[2]
        for each in ENDPOINTS.values()
        if each["Type"] == "AWS::EC2::VPCEndpoint" and each.get("Condition", "") in ("", *conditions)
    }
    return {name.split(".")[0] for name in found}


def test_there_is_an_endpoint_for_every_service_that_is_called():
    # Lambda itself writes logs and traces, and decrypts; iam:PassRole is no call
    by_lambda = {"logs", "xray", "kms", "iam"}
    called = services("RankRole", "ReconcileRole") - by_lambda
    assert called - {"ecs", "batch", "events"} == endpoints()
    assert called - {"ecs", "batch"} == endpoints("WithEvents")
    trained = services("TrainingRole", "TrainingExecutionRole") - {"kms"}
    assert (called | trained) - {"batch"} == endpoints("WithEvents", "WithTraining")
    # a machine with ECS's agent calls ECS by three names; it may read its own tags, but has none to read
    agent = services("TrainingInstanceRole") - {"ec2"} | {"ecs-agent", "ecs-telemetry"}
    assert called | trained | agent == endpoints("WithEvents", "WithTraining", "WithBatch")
