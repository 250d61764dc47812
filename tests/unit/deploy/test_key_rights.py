"""Who may do what with the key of `KmsKeyArn`: exactly what the encrypted things need that a role touches.

No emulator at hand enforces the policies of keys, so this computes what AWS documents.
"""

from __future__ import annotations

import json
import re

import pytest
from unit.deploy.intrinsics import RESOURCES, TEMPLATE, listed, resolved

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf"
GIVEN = {
    "KmsKeyArn": KEY,
    "LabelStudioTokenSecretArn": SECRET,
    "MlflowPasswordSecretArn": SECRET,
    "DagshubTokenSecretArn": SECRET,
}
LAUNCHERS = TEMPLATE["Parameters"]["Launcher"]["AllowedValues"]
READ, WRITE = {"kms:Decrypt"}, {"kms:Decrypt", "kms:GenerateDataKey"}
NEEDED = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#require-sse-kms
    "s3:GetObject": READ,
    "s3:PutObject": WRITE,
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    "sqs:SendMessage": WRITE,
    "sqs:ReceiveMessage": READ,
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    "secretsmanager:GetSecretValue": READ,
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html: DynamoDB
    # decrypts the key of the table with the rights of its caller
    "dynamodb:BatchGetItem": READ,
    "dynamodb:GetItem": READ,
    "dynamodb:PartiQLInsert": READ,
    "dynamodb:PartiQLUpdate": READ,
    "dynamodb:PutItem": READ,
    "dynamodb:Query": READ,
    "dynamodb:Scan": READ,
    "dynamodb:UpdateItem": READ,
}
WITHOUT_DATA = {
    *("s3:ListBucket", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    # CloudWatch Logs uses the key itself: its principal is in the key's policy
    *("logs:CreateLogStream", "logs:PutLogEvents"),
}
SERVICES = {action.split(":")[0] for action in NEEDED} | {"logs"}
BEARERS = [
    name
    for name, each in RESOURCES.items()
    if each["Type"] in ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::ManagedPolicy")
]


def exists(resource, given):
    return "Condition" not in resource or resolved({"Condition": resource["Condition"]}, given)


CASES = [
    (bearer, launcher)
    for launcher in LAUNCHERS
    for bearer in BEARERS
    if exists(RESOURCES[bearer], {"Launcher": launcher})
]


def chosen(node, given):
    """Return a list with each !If of its entries resolved, and all else as it is written."""
    entries = []
    for each in listed(node):
        while isinstance(each, dict) and "Fn::If" in each:
            condition, if_true, if_false = each["Fn::If"]
            each = if_true if resolved({"Condition": condition}, given) else if_false
        if each != {"Ref": "AWS::NoValue"}:
            entries.extend(listed(each))
    return entries


def statements(bearer, given):
    """Return what a role, a user or whoever has a managed policy may do."""
    own = RESOURCES[bearer]["Properties"]
    policies = [own] if "PolicyDocument" in own else chosen(own.get("Policies", []), given)
    for each in RESOURCES.values():
        if each["Type"] == "AWS::IAM::Policy" and exists(each, given):
            properties = each["Properties"]
            holders = [
                *chosen(properties.get("Roles", []), given),
                *chosen(properties.get("Users", []), given),
            ]
            if {"Ref": bearer} in holders:
                policies.append(properties)
    return [one for policy in policies for one in chosen(policy["PolicyDocument"]["Statement"], given)]


def encrypted(resource):
    """Return whether what a statement is for is encrypted with the key, or may be."""
    names = set(re.findall(r"\w+", json.dumps(resource))) & (RESOURCES.keys() | GIVEN.keys())
    return any(name.endswith("SecretArn") or "KmsKeyArn" in json.dumps(RESOURCES[name]) for name in names)


def functions_with(bearer):
    return [
        name
        for name, each in RESOURCES.items()
        if each["Type"] == "AWS::Serverless::Function"
        and each["Properties"]["Role"] == {"Fn::GetAtt": [bearer, "Arn"]}
    ]


def actions(bearer, given):
    """Yield each action that a role, a user or a holder may take, with its resource."""
    for statement in statements(bearer, given):
        for action in listed(statement["Action"]):
            yield action, statement["Resource"]


def needed(bearer, given):
    """Return the actions of KMS that a role, a user or a holder needs for what it touches."""
    found = set(READ if functions_with(bearer) else ())  # Lambda decrypts a function's settings with its role
    for action, resource in actions(bearer, given):
        if action.split(":")[0] in SERVICES and encrypted(resource):
            assert action in NEEDED.keys() | WITHOUT_DATA, "what does it need?"
            found |= NEEDED.get(action, set())
    return found


@pytest.mark.parametrize("bucket", ["", "photos"], ids=["own-bucket", "bucket-of-yours"])
@pytest.mark.parametrize(("bearer", "launcher"), CASES)
def test_each_may_use_the_key_for_exactly_what_it_touches(bearer, launcher, bucket):
    given = GIVEN | {"Launcher": launcher, "ImagesBucketName": bucket}
    keys = [(action, resource) for action, resource in actions(bearer, given) if action.startswith("kms:")]
    assert [resource for _, resource in keys if resource != {"Ref": "KmsKeyArn"}] == []
    assert {action for action, _ in keys} == needed(bearer, given)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_without_a_key_nobody_may_use_one(launcher):
    given = {"Launcher": launcher, "LabelStudioTokenSecretArn": SECRET}
    found = [
        (bearer, statement)
        for bearer in BEARERS
        if exists(RESOURCES[bearer], given)
        for statement in statements(bearer, given)
        if "kms:" in json.dumps(statement)
    ]
    assert found == []
