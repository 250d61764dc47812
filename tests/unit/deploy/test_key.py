"""A key of one's own: its policy allows every service that the template lets use it."""

from __future__ import annotations

import json
import re

from unit.deploy.intrinsics import RESOURCES, ROOT, listed, name_in, of

from octospoon.cli.deploy import sam_template

KEY = sam_template.read(ROOT / "infra/key/key.yaml")["Resources"]["Key"]
STATEMENTS = KEY["Properties"]["KeyPolicy"]["Statement"]
PAGE = (ROOT / "docs/how-to/use-your-kms-key.md").read_text()


def allowed():
    """Return the actions of each principal of the key's policy; a service without its region."""
    found = {}
    for statement in STATEMENTS:
        ((kind, names),) = statement["Principal"].items()
        for name in listed(names):
            text = name["Fn::Sub"] if isinstance(name, dict) else name
            who = "account" if kind == "AWS" else text.split(".")[0]
            found[who] = set(listed(statement["Action"]))
    return found


def encrypted_queues():
    return {name for name, queue in of("AWS::SQS::Queue").items() if "KmsMasterKeyId" in queue}


def test_services_that_send_into_encrypted_queues_may_use_the_key():
    senders = {
        statement["Principal"]["Service"].split(".")[0]
        for policy in of("AWS::SQS::QueuePolicy").values()
        if name_in(policy["Queues"][0]) in encrypted_queues()
        for each in policy["PolicyDocument"]["Statement"]
        for statement in [each["Fn::If"][1] if "Fn::If" in each else each]
    }
    assert senders == {"s3", "events"}
    for sender in senders:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
        assert allowed()[sender] == {"kms:GenerateDataKey", "kms:Decrypt"}


def test_alarms_may_reach_a_topic_that_the_key_encrypts():
    assert {"AlarmActions"} <= {name for alarm in of("AWS::CloudWatch::Alarm").values() for name in alarm}
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    assert allowed()["cloudwatch"] == {"kms:Decrypt", "kms:GenerateDataKey*"}


def test_logs_may_be_encrypted_and_the_account_decides_the_rest():
    assert of("AWS::Logs::LogGroup")
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    parts = {"Encrypt*", "Decrypt*", "ReEncrypt*", "GenerateDataKey*", "Describe*"}
    assert allowed()["logs"] == {f"kms:{part}" for part in parts}
    assert allowed()["account"] == {"kms:*"}
    assert KEY["DeletionPolicy"] == KEY["UpdateReplacePolicy"] == "Retain"


def test_every_role_may_use_the_key():
    # tests/unit/deploy/test_key_rights.py holds for what
    policies = [policy for name, policy in of("AWS::IAM::Policy").items() if name.endswith("KmsPolicy")]
    users = {name_in(role) for policy in policies for role in listed(policy["Roles"]) if "Ref" in role}
    roles = {name for name, each in RESOURCES.items() if each["Type"] == "AWS::IAM::Role"}
    # it is for the machine alone, which touches nothing of the stack: containers have roles of their own
    assert users == roles - {"TrainingInstanceRole"}


def test_the_page_names_every_principal_of_the_policy():
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \|", PAGE, re.MULTILINE)
    named = {
        name.split(".")[0].replace("arn:aws:iam::ACCOUNT:root", "account"): actions for name, actions in rows
    }
    assert {name: set(re.findall("`([^`]+)`", actions)) for name, actions in named.items()} == allowed()
    assert "kms:CreateGrant" in PAGE
    assert "KmsKeyArn" in json.dumps(RESOURCES["PoolTable"]), "DynamoDB asks for a grant"
