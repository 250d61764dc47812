"""Checks of requests that LocalStack recorded: errors, and the rights that they need."""

from __future__ import annotations

import json

import pytest
from localstack_process_executor.recording.models import Models
from localstack_process_executor.recording.rights import Asked, conditions, needs
from localstack_process_executor.recording.wire import Sent

MODELS = Models()
ARN = "arn:aws:{}:eu-west-1:123456789012:{}"


def problems(service, operation, protocol="json", **given):
    if "json" in given:
        given["body"] = json.dumps(given.pop("json")).encode()
    return MODELS.problems(service, operation, Sent(protocol, given.pop("parsed", {}), **given))


def sent(service, operation, status=200, **parameters):
    return Asked(service, operation, parameters, status, "eu-west-1", "123456789012")


def put(item):
    return {"TransactItems": [{"Put": {"TableName": "t", "Item": item}}]}


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("dynamodb", "TransactWriteItems", put({"key": {"S": "a"}, "bytes": {"B": "AP8="}})),
        ("sqs", "SendMessageBatch", {"QueueUrl": "q", "Entries": [{"Id": "1", "MessageBody": "m"}]}),
        ("events", "PutEvents", {"Entries": [{"Source": "octospoon", "Time": 1.5}]}),
        ("ecs", "RunTask", {"taskDefinition": "t", "cluster": "c"}),
    ],
)
def test_valid_json_has_no_problem(service, operation, body):
    assert problems(service, operation, json=body) == []


@pytest.mark.parametrize(
    ("service", "operation", "body", "problem"),
    [
        ("dynamodb", "TransactWriteItems", put({"key": {"T": "a"}}), "[].Put.Item{}.T: unknown parameter"),
        ("dynamodb", "TransactWriteItems", put({"key": {"B": "no Base64!"}}), "Item{}.B: no Base64"),
        ("dynamodb", "TransactWriteItems", {"TransactItems": []}, "TransactItems: invalid length"),
        ("dynamodb", "TransactWriteItems", {}, "missing required field TransactItems"),
        (
            "dynamodb",
            "BatchGetItem",
            {"RequestItems": {"t": {"Keys": [{}] * 101}}},
            "over the maximum of 100",
        ),
        ("dynamodb", "Query", {"TableName": "t", "Select": "SOME"}, "Select: no value of the enumeration"),
        ("dynamodb", "Query", {"TableName": "t", "Limit": "5"}, "Limit: invalid type"),
        ("dynamodb", "Query", {"TableName": "t", "IndexName": None}, "IndexName: null"),
        ("events", "PutEvents", {"Entries": [{"EventBusName": "a b"}]}, "EventBusName: does not match"),
        ("secretsmanager", "GetSecretValue", {"SecretID": "s"}, "SecretID: unknown parameter"),
    ],
)
def test_what_a_model_refuses_is_named(service, operation, body, problem):
    messages = problems(service, operation, json=body)

    assert [message for message in messages if problem in message], messages


def test_a_body_that_is_no_json_is_named():
    assert "the body is no JSON" in problems("sqs", "SendMessage", body=b"<xml/>")


def test_no_value_is_in_the_text_of_a_problem():
    wrong = {"SecretId": ["the-secret"], "VersionId": "the-secret", "Secret": "the-secret"}

    messages = problems("secretsmanager", "GetSecretValue", json=wrong)

    assert len(messages) == 3
    assert "the-secret" not in str(messages)


def test_keys_of_a_form_are_those_of_the_model():
    form = {
        "Action": "CreateUser",
        "Version": "2010-05-08",
        "UserName": "me",
        "Tags.member.1.Key": "k",
        "Tags.member.1.Value": "v",
    }
    parsed = {"UserName": "me", "Tags": [{"Key": "k", "Value": "v"}]}

    assert problems("iam", "CreateUser", "query", parsed=parsed, query=form) == []
    for name in ("Tags.1.Key", "Tags.member.1.Name", "Tags.member.x.Key", "User"):
        messages = problems("iam", "CreateUser", "query", parsed=parsed, query=form | {name: "v"})
        assert messages == [f"{name}: unknown parameter"]


def test_query_headers_and_body_are_those_of_the_model():
    parsed = {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}]}}
    body = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>k</Key></Object></Delete>'
    signed = {"headers": ["x-amz-date", "x-amz-sdk-checksum-algorithm", "host"], "query": {"delete": ""}}

    assert problems("s3", "DeleteObjects", "rest-xml", parsed=parsed, body=body, **signed) == []
    wrong = body.replace(b"<Key>", b"<Name>x</Name><Key>")
    signed = {"headers": ["x-amz-mfaa"], "query": {"delete": "", "quiet": "1"}}
    assert problems("s3", "DeleteObjects", "rest-xml", parsed=parsed, body=wrong, **signed) == [
        "quiet: unknown in the query",
        "x-amz-mfaa: unknown header",
        "Delete.Object[].Name: unknown element",
    ]


def test_presigned_address_has_its_signature_in_the_query():
    query = {"X-Amz-Algorithm": "a", "X-Amz-Signature": "s", "X-Amz-SignedHeaders": "host", "versionId": "3"}

    assert problems("s3", "GetObject", "rest-xml", parsed={"Bucket": "b", "Key": "k"}, query=query) == []


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (sent("s3", "HeadObject", Bucket="b", Key="a/k"), {("s3:GetObject", "arn:aws:s3:::b/a/k")}),
        (
            sent("s3", "GetObject", 404, Bucket="b", Key="k"),
            {("s3:GetObject", "arn:aws:s3:::b/k"), ("s3:ListBucket", "arn:aws:s3:::b")},
        ),
        (
            sent("s3", "GetObject", Bucket="b", Key="k", VersionId="1"),
            {("s3:GetObjectVersion", "arn:aws:s3:::b/k")},
        ),
        (
            sent("s3", "CopyObject", Bucket="b", Key="k", CopySource="other/x?versionId=1"),
            {("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::other/x")},
        ),
        (sent("s3", "ListObjectsV2", Bucket="b"), {("s3:ListBucket", "arn:aws:s3:::b")}),
        (
            sent("dynamodb", "Query", TableName="t", IndexName="i"),
            {("dynamodb:Query", ARN.format("dynamodb", "table/t/index/i"))},
        ),
        (
            sent(
                "dynamodb",
                "TransactWriteItems",
                TransactItems=[{"Put": {"TableName": "t"}}, {"ConditionCheck": {"TableName": "u"}}],
            ),
            {
                ("dynamodb:PutItem", ARN.format("dynamodb", "table/t")),
                ("dynamodb:ConditionCheckItem", ARN.format("dynamodb", "table/u")),
            },
        ),
        (
            sent("dynamodb", "BatchExecuteStatement", Statements=[{"Statement": 'UPDATE "t" SET a=?'}] * 2),
            {("dynamodb:PartiQLUpdate", ARN.format("dynamodb", "table/t"))},
        ),
        (
            sent("dynamodb", "BatchGetItem", RequestItems={"t": {}, "u": {}}),
            {("dynamodb:BatchGetItem", ARN.format("dynamodb", f"table/{name}")) for name in "tu"},
        ),
        (
            sent("sqs", "DeleteMessageBatch", QueueUrl="http://host:1/123456789012/q"),
            {("sqs:DeleteMessage", ARN.format("sqs", "q"))},
        ),
        (
            sent("lambda", "Invoke", FunctionName="f"),
            {("lambda:InvokeFunction", ARN.format("lambda", "function:f"))},
        ),
        (
            sent("events", "PutEvents", Entries=[{"Source": "s"}, {"EventBusName": "bus"}]),
            {("events:PutEvents", ARN.format("events", f"event-bus/{name}")) for name in ("default", "bus")},
        ),
        (
            sent("secretsmanager", "GetSecretValue", SecretId="arn:of:a:secret"),
            {("secretsmanager:GetSecretValue", "arn:of:a:secret")},
        ),
        (sent("sts", "GetCallerIdentity"), {("sts:GetCallerIdentity", "*")}),
    ],
)
def test_request_needs_these_rights(request_, needed):
    assert set(needs(request_)) == needed


def test_keys_that_conditions_compare_are_recorded():
    events = sent("events", "PutEvents", Entries=[{"Source": "octospoon"}, {"Source": "other"}])
    assert conditions(events) == {"events:source": ["octospoon", "other"]}
    task = sent("ecs", "RunTask", cluster="c", taskDefinition="t")
    assert conditions(task) == {"ecs:cluster": [ARN.format("ecs", "cluster/c")]}
    assert conditions(sent("s3", "ListObjectsV2", Bucket="b", Prefix="p/")) == {"s3:prefix": ["p/"]}
    assert conditions(sent("s3", "GetObject", Bucket="b", Key="k")) == {}
