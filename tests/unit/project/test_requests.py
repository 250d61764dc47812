"""The comparison of recorded requests with the template's policies finds what it must."""

from __future__ import annotations

import json

import pytest
from lanes import ROOT
from tools.requests import expected, template
from tools.requests.__main__ import findings
from tools.requests.iam import allows, holds
from tools.requests.record import Record, read
from tools.requests.rights import Right, compare

from octospoon.cli.deploy import sam_template

ROLE = "role/prod-eu-ScoreRole-1a2b3c4d"
READS = {
    "Sid": "Read",
    "Effect": "Allow",
    "Action": ["s3:GetObject", "s3:PutObject"],
    "Resource": ["arn:aws:s3:::b/models/*", "arn:aws:s3:::b/rounds/*"],
}


def policies(*statements, caller=ROLE, name="score"):
    return {"policies_of": caller, "policies": {name: {"Statement": list(statements)}}}


def made(*needs, caller=ROLE, problems=(), **conditions):
    return {
        "caller": caller,
        "service": "s3",
        "operation": "GetObject",
        "problems": list(problems),
        "needs": [list(need) for need in needs],
        "conditions": conditions,
    }


def recorded(*lines) -> Record:
    return read(map(json.dumps, lines))


def statement(action="s3:GetObject", resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.mark.parametrize(
    ("given", "action", "resource", "allowed"),
    [
        (statement(), "s3:GetObject", "arn:aws:s3:::b/k", True),
        (statement("S3:getobject"), "s3:GetObject", "arn:aws:s3:::b/k", True),
        (statement("s3:Get*"), "s3:GetObject", "arn:aws:s3:::b/k", True),
        (statement("s3:GetObject"), "s3:GetObjectVersion", "arn:aws:s3:::b/k", False),
        (statement(resource="arn:aws:s3:::b/models/*"), "s3:GetObject", "arn:aws:s3:::b/models/a/b", True),
        (statement(resource="arn:aws:s3:::b/models/*"), "s3:GetObject", "arn:aws:s3:::b/models", False),
        (statement(resource="arn:aws:s3:::B/*"), "s3:GetObject", "arn:aws:s3:::b/k", False),
        (statement(resource="arn:aws:s3:::b/[a]*"), "s3:GetObject", "arn:aws:s3:::b/a", False),
        (statement(resource=["x", "arn:aws:s3:::?/k"]), "s3:GetObject", "arn:aws:s3:::b/k", True),
    ],
)
def test_statement_allows_what_iam_allows(given, action, resource, allowed):
    assert allows(given, action, resource, {}) is allowed


@pytest.mark.parametrize(
    ("condition", "values", "holding"),
    [
        ({"StringEquals": {"events:source": "octospoon"}}, ["octospoon"], True),
        ({"StringEquals": {"Events:Source": "octospoon"}}, ["octospoon"], True),
        ({"StringEquals": {"events:source": "octospoon"}}, ["octospoon", "other"], False),
        ({"StringEquals": {"events:source": "octo*"}}, ["octospoon"], False),
        ({"StringLike": {"events:source": ["x", "octo*"]}}, ["octospoon"], True),
        ({"StringEquals": {"events:source": "octospoon"}}, [], False),
        ({"StringLikeIfExists": {"events:source": "octo*"}}, [], True),
        ({"StringLikeIfExists": {"events:source": "octo*"}}, ["other"], False),
        ({"ArnEquals": {"events:source": "arn:*:cluster/c"}}, ["arn:aws:cluster/c"], True),
        ({"Null": {"events:source": "true"}}, [], True),
        ({"Null": {"events:source": "true"}}, ["octospoon"], False),
        ({"Null": {"events:source": "false"}}, ["octospoon"], True),
    ],
)
def test_condition_holds_where_it_does_in_iam(condition, values, holding):
    assert holds(condition, {"events:source": values}) is holding


def test_what_iam_has_and_the_template_has_not_is_refused():
    with pytest.raises(NotImplementedError):
        holds({"NumericLessThan": {"a": "1"}}, {"a": ["0"]})
    with pytest.raises(NotImplementedError):
        allows(statement() | {"Effect": "Deny"}, "s3:GetObject", "*", {})
    with pytest.raises(NotImplementedError):
        allows(statement() | {"NotResource": "x"}, "s3:GetObject", "*", {})


def test_every_statement_of_the_template_can_be_decided():
    resources = sam_template.read(ROOT / "template.yaml")["Resources"]
    found = template.rights(resources)

    assert {right.owner for right in found} >= {"ScoreRole", "WatchRole", "TrainingRole", "WorkerPolicy"}
    assert Right("LabelStudioUser", "images.ReadImages", "s3:GetObject") in found
    assert Right("ReconcileRole", "publish-events.PublishEvents", "events:PutEvents") in found


def test_every_exception_is_for_a_right_of_the_template():
    resources = sam_template.read(ROOT / "template.yaml")["Resources"]
    rights = [str(right) for right in template.rights(resources)]

    assert expected.unnecessary(rights, expected.NOT_DEPLOYED) == []
    assert expected.unnecessary(rights, [one for one in expected.UNUSED if "resource" not in one]) == []
    assert not any(action in right for right in rights for action in expected.NEVER_ON_AWS)


def test_refused_and_vain_rights_are_found():
    found = compare(
        recorded(
            policies(READS),
            made(("s3:GetObject", "arn:aws:s3:::b/models/1")),
            made(("s3:GetObject", "arn:aws:s3:::other/models/1")),
            made(("s3:GetObject", "arn:aws:s3:::other/models/1"), caller="operator"),
        )
    )

    assert [(need.caller, need.resource) for need in found.refused] == [(ROLE, "arn:aws:s3:::other/models/1")]
    assert {str(right) for right in found.vain} == {
        "ScoreRole score.Read s3:PutObject",
        "ScoreRole score.Read resource 2",
    }


def test_right_that_two_statements_give_is_found():
    pointer = statement(resource="arn:aws:s3:::b/models/champion.json", Sid="ReadPointer")

    assert compare(recorded(policies(READS, pointer))).twice == {
        "ScoreRole score.ReadPointer s3:GetObject: score.Read gives it too"
    }
    assert compare(recorded(policies(READS))).twice == set()


def test_right_used_in_one_stack_is_used():
    other = "role/dev-ScoreRole-00000000"
    found = compare(
        recorded(
            policies(READS),
            policies(READS, caller=other),
            made(("s3:PutObject", "arn:aws:s3:::b/rounds/1")),
            made(("s3:GetObject", "arn:aws:s3:::b/models/1"), caller=other),
        )
    )

    assert found.vain == set()


def test_resource_of_a_test_stands_for_one_of_the_stack():
    found = compare(
        recorded(
            {"same": {"faults-1": "b"}},
            policies(READS),
            made(("s3:GetObject", "arn:aws:s3:::faults-1/models/1")),
        )
    )

    assert not found.refused


def test_conditions_of_a_request_decide():
    allowed = statement("events:PutEvents", Condition={"StringEquals": {"events:source": "octospoon"}})
    lines = [made(("events:PutEvents", "bus"), **{"events:source": [who]}) for who in ("octospoon", "me")]

    found = compare(recorded(policies(allowed), *lines))

    assert [dict(need.conditions) for need in found.refused] == [{"events:source": ("me",)}]


def test_programs_have_the_policies_that_the_stack_makes_for_them():
    worker, studio = "app/octospoon-worker", "app/label-studio"
    lines = [
        policies(READS, caller=worker, name="prod-eu-WorkerPolicy-1a2b3c4d"),
        policies(READS, caller=studio, name="prod-eu-LabelStudioUser-1a2b3c4d/prod-eu-images"),
        made(("s3:GetObject", "arn:aws:s3:::b/models/1"), caller=worker),
        made(("s3:DeleteObject", "arn:aws:s3:::b/models/1"), caller=studio),
    ]

    found = compare(recorded(*lines))

    assert {str(right) for right in found.used} == {
        "WorkerPolicy WorkerPolicy.Read s3:GetObject",
        "WorkerPolicy WorkerPolicy.Read resource 1",
    }
    assert {str(right) for right in found.vain if right.action} == {
        "WorkerPolicy WorkerPolicy.Read s3:PutObject",
        "LabelStudioUser images.Read s3:GetObject",
        "LabelStudioUser images.Read s3:PutObject",
    }
    assert [need.action for need in found.refused] == ["s3:DeleteObject"]


def test_findings_name_each_thing_that_must_not_be(monkeypatch):
    monkeypatch.setattr(expected, "UNUSED", {"ScoreRole score.Read resource *": "why", "Nobody *": "why"})
    monkeypatch.setattr(expected, "NOT_DEPLOYED", {})
    record = recorded(
        policies(READS),
        made(("s3:GetObject", "arn:aws:s3:::b/models/1"), problems=["Key: too long"]),
        made(("s3:DeleteObject", "arn:aws:s3:::b/models/1")),
        made(("logs:CreateLogGroup", "arn")),
    )
    of_template = {Right("ScoreRole", "score.Read", "s3:GetObject"), Right("RankRole", "rank.Go", "sqs:Go")}

    assert list(findings(record, compare(record), of_template)) == [
        f"invalid, 1 times: s3.GetObject by {ROLE}: Key: too long",
        "allowed by no policy, 1 times: s3:DeleteObject for ScoreRole",
        "allowed in vain: ScoreRole score.Read s3:PutObject",
        "no exception any more: Nobody *",
        "in no deployed stack: RankRole rank.Go sqs:Go",
    ]
