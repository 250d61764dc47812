"""The change set's life: created, refused, without changes, failed with reasons."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from octospoon.cli.deploy.cloudformation import DeployFailed, Stack, reasons
from octospoon.cli.deploy.deployer import check_secrets, check_task_type, deploy, kept_names
from octospoon.cli.deploy.urls import endpoint_for_label_studio, webhook_url
from octospoon.cli.deployment import Deployment, LocalProject, remember
from octospoon.domain.errors import NotConfigured

SECRET = "AWS::SecretsManager::Secret"


def event(number, name, status, kind="AWS::SQS::Queue", reason=None):
    told = {"ResourceStatusReason": reason} if reason else {}
    return told | {
        "EventId": str(number),
        "LogicalResourceId": name,
        "ResourceStatus": status,
        "ResourceType": kind,
    }


RESOURCES = [
    {"LogicalResourceId": "TokenSecret", "PhysicalResourceId": "arn:1", "ResourceType": SECRET},
    {"LogicalResourceId": "WebhookSecret", "PhysicalResourceId": "arn:2", "ResourceType": SECRET},
    {"LogicalResourceId": "Queue", "PhysicalResourceId": "arn:3", "ResourceType": "AWS::SQS::Queue"},
    {"LogicalResourceId": "NotMadeYet", "ResourceType": SECRET},
]


class CloudFormation:
    """A stack whose states and events are written down beforehand."""

    def __init__(self, states, events=(), change_set=("CREATE_COMPLETE", "")):
        self.states = list(states)
        self.events = list(events)
        self.change_set = change_set
        self.created = {}
        self.deleted = False
        self.executed = False

    def describe_stacks(self, **given):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": "Stack with id x does not exist"}},
                "DescribeStacks",
            )
        return {
            "Stacks": [
                {
                    "StackStatus": state,
                    "Parameters": [{"ParameterKey": "Kept"}, {"ParameterKey": "Gone"}],
                    "Outputs": [{"OutputKey": "A", "OutputValue": "1"}],
                }
            ]
        }

    def create_change_set(self, **given):
        self.created = given
        return {"Id": "change"}

    def describe_change_set(self, **given):
        status, reason = self.change_set
        return {"Status": status, "StatusReason": reason}

    def delete_change_set(self, **given):
        pass

    def delete_stack(self, **given):
        self.deleted = True

    def execute_change_set(self, **given):
        self.executed = True

    def get_paginator(self, name):
        return self

    def paginate(self, **given):
        events = self.events[::-1] if self.executed else []
        return [{"StackEvents": events, "StackResourceSummaries": RESOURCES}]


def run(client, told=None):
    stack = Stack(client, "x", [].append if told is None else told.append, poll=0)
    return stack.deploy("url", {"New": "2"}, {"New", "Kept"})


def test_a_new_stack_is_created_and_its_progress_told():
    told = []
    client = CloudFormation(
        [None, "CREATE_IN_PROGRESS", "CREATE_COMPLETE"],
        [event(1, "Queue", "CREATE_IN_PROGRESS"), event(2, "Queue", "CREATE_COMPLETE")],
    )
    assert run(client, told) == {"A": "1"}
    assert client.created["ChangeSetType"] == "CREATE"
    assert client.created["Parameters"] == [{"ParameterKey": "New", "ParameterValue": "2"}]
    assert told == ["CREATE_COMPLETE Queue"]


def test_update_keeps_the_values_of_omitted_parameters():
    client = CloudFormation(["UPDATE_COMPLETE"])
    run(client)
    assert client.created["ChangeSetType"] == "UPDATE"
    assert {"ParameterKey": "Kept", "UsePreviousValue": True} in client.created["Parameters"]
    assert all(one["ParameterKey"] != "Gone" for one in client.created["Parameters"])


def test_no_changes_is_no_failure():
    told = []
    client = CloudFormation(
        ["CREATE_COMPLETE"], change_set=("FAILED", "The submitted information didn't contain changes.")
    )
    assert run(client, told) == {"A": "1"}
    assert told == ["nothing to change"]
    assert not client.executed


def test_a_refused_change_set_says_why():
    client = CloudFormation([None], change_set=("FAILED", "Transform failed: no such property"))
    with pytest.raises(DeployFailed, match="no such property"):
        run(client)


def test_a_failure_names_the_resource_and_its_reason():
    client = CloudFormation(
        [None, "ROLLBACK_COMPLETE"],
        [
            event(1, "Table", "CREATE_FAILED", reason="KeyType HUSH is not allowed"),
            event(2, "Queue", "CREATE_FAILED", reason="Resource creation cancelled"),
            event(3, "x", "ROLLBACK_FAILED", kind="AWS::CloudFormation::Stack", reason="[Table] failed"),
        ],
    )
    with pytest.raises(DeployFailed) as failure:
        run(client)
    assert str(failure.value) == (
        "x is ROLLBACK_COMPLETE: Table (AWS::SQS::Queue): KeyType HUSH is not allowed"
    )


def test_consequences_are_told_where_no_cause_is():
    cancelled = event(1, "Queue", "CREATE_FAILED", reason="Resource creation cancelled")
    assert reasons([cancelled]) == "Queue (AWS::SQS::Queue): Resource creation cancelled"
    assert reasons([]) == "CloudFormation gave no reason"


def test_a_stack_that_never_lived_is_removed_first():
    client = CloudFormation(["ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS", None, "CREATE_COMPLETE"])
    run(client)
    assert client.deleted
    assert client.created["ChangeSetType"] == "CREATE"


def test_the_webhook_is_called_by_path_on_localstack():
    outputs = {"RestApiId": "abc", "RestApiStage": "v1", "WebhookUrl": "https://abc.example/v1/webhook"}
    assert webhook_url(outputs, None) == "https://abc.example/v1/webhook"
    assert webhook_url(outputs, "http://127.0.0.1:4566") == (
        "http://127.0.0.1:4566/_aws/execute-api/abc/v1/webhook"
    )


@pytest.mark.parametrize(
    ("stack_name", "parameters", "message"),
    [
        ("octo_spoon", {}, "letters, digits and hyphens"),
        ("x" * 55, {}, "letters, digits and hyphens"),
        ("My-" + "x" * 51, {}, "make build"),
        ("octospoon", {"Colour": "red"}, "no parameter Colour"),
        ("octospoon", {"Launcher": "hand"}, "queue, ecs"),
        ("octospoon", {}, "make build"),
    ],
)
def test_mistakes_are_found_before_anything_is_uploaded(tmp_path, stack_name, parameters, message, request):
    with pytest.raises(NotConfigured, match=message):
        deploy(
            template=request.config.rootpath / "template.yaml",
            build_dir=tmp_path,
            endpoint_url="http://127.0.0.1:9",
            stack_name=stack_name,
            parameters=parameters,
            progress=print,
        )


def test_no_parameter_may_name_a_secret_that_the_update_deletes():
    own = Stack(CloudFormation(["UPDATE_COMPLETE"]), "x", print, poll=0).secrets()
    assert own == {"arn:1": "TokenSecret", "arn:2": "WebhookSecret"}
    assert Stack(CloudFormation([None]), "x", print, poll=0).secrets() == {}

    check_secrets(own, {"WebhookSecret"}, {"TokenSecretArn": "arn:9", "Other": "arn:2"})
    with pytest.raises(NotConfigured, match="TokenSecretArn names the secret that the stack itself made"):
        check_secrets(own, {"WebhookSecret"}, {"TokenSecretArn": "arn:1"})


class Items:
    """DynamoDB with one table, whose items are given."""

    def __init__(self, **items):
        self.items = items

    def get_item(self, *, TableName, Key, ConsistentRead):  # noqa: N803 - boto3's names
        assert (TableName, ConsistentRead) == ("control", True)
        item = self.items.get(Key["id"]["S"])
        return {"Item": item} if item else {}


def test_a_stack_with_labels_keeps_their_kind():
    several, one = {"TaskType": "multilabel"}, {"TaskType": "classification"}
    outputs = {"ControlTable": "control"}
    labelled = Items(training={"new_labels": {"N": "5"}})
    check_task_type(labelled, {}, several)  # a new stack
    check_task_type(Items(), outputs, several)
    check_task_type(labelled, outputs, one)
    check_task_type(labelled, outputs, {})
    kept = Items(**{"task-type": {"name": {"S": "multilabel"}}})
    check_task_type(kept, outputs | several, {})
    for items, given in ((labelled, several), (kept, one)):
        with pytest.raises(NotConfigured, match="the stack has labels of the task type"):
            check_task_type(items, outputs, given)


@pytest.mark.parametrize(
    ("bucket", "parameters"),
    [
        ("octospoon-artifacts-0e2f5a5d4c4b", {"BucketNames": "name"}),
        ("octospoon-artifacts-5a4c1e30-7f1b-11f0-9d3e-0e2f5a5d4c4b", {}),
        ("", {}),
    ],
)
def test_an_older_stack_keeps_its_buckets(bucket, parameters):
    assert kept_names("octospoon", {"ArtifactsBucket": bucket} if bucket else {}) == parameters


@pytest.mark.parametrize(
    ("endpoint", "inside", "expected"),
    [
        ("http://127.0.0.1:4566", "", "http://127.0.0.1:4566"),
        ("http://127.0.0.1:4566", "http://inside.example:4566", "http://inside.example:4566"),
        ("http://127.0.0.1:1", "http://inside.example:4566", "http://127.0.0.1:1"),
        (None, "http://inside.example:4566", None),
    ],
)
def test_label_studio_in_a_container_reaches_localstack_elsewhere(
    endpoint, inside, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    project = LocalProject("http://127.0.0.1:4566", {}, "http://b", 1, "http://c", inside_endpoint_url=inside)
    remember(project)
    assert endpoint_for_label_studio(Deployment({}, endpoint)) == expected
