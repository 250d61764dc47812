"""Lambda stops a function that starts itself 16 times in a chain, through queues and functions too.

The edges are read from the template: who may send to a queue, put into a bucket or call a function, and which
function that starts. Each cycle is either bounded and allowed, or left to Lambda's detection with a reason.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from unit.deploy.intrinsics import listed

from octospoon.cli.deploy import sam_template

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
TEMPLATE = sam_template.read(ROOT / "template.yaml")

ALLOWED = {"RescoreFunction": "usecases/rescore_segment.py bounds its chain (ADR 27)"}
"""Functions that Lambda lets run in a cycle, and what bounds the cycle instead."""
DETECTED = {
    frozenset({"RankFunction", "RescoreFunction"}): (
        "the last shard starts rank, which queues shards only while they are in another order: at most twice"
    ),
}
"""Cycles that Lambda stops after 16 turns, and why they never have so many."""


def named(value: Any) -> Iterator[str]:
    """The logical ids in a value, wherever they are."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "Fn::Sub":
                text = inner if isinstance(inner, str) else inner[0]
                yield from (part.split("}")[0].split(".")[0] for part in text.split("${")[1:])
            else:
                yield from named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner)


def statements(resources: dict[str, Any], role: str) -> Iterator[dict[str, Any]]:
    """What a role may do, by its own policies and by those that name it."""
    for policy in resources[role]["Properties"].get("Policies", []):
        yield from (policy["Fn::If"][1] if "Fn::If" in policy else policy)["PolicyDocument"]["Statement"]
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Policy" and role in named(resource["Properties"]["Roles"]):
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                yield from (part for part in listed(statement.get("Fn::If", statement)) if "Action" in part)


SOURCES = ("Queue", "Bucket", "Topic", "EventBusName", "Stream")


def triggers(name: str, kind: str, properties: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What starts a function: (source, function)."""
    if kind == "AWS::Serverless::Function":
        yield name, name
        for event in properties["Events"].values():
            for source in named([event["Properties"].get(key) for key in SOURCES]):
                yield source, name
    if kind == "AWS::Lambda::EventSourceMapping":
        for source in named(properties["EventSourceArn"]):
            yield from ((source, each) for each in named(properties["FunctionName"]) if "Function" in each)


def forwards(name: str, kind: str, properties: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What sends events on: (bucket or bus, queue or function)."""
    if kind == "AWS::S3::Bucket":
        yield from ((name, queue) for queue in named(properties["NotificationConfiguration"]))
    if kind == "AWS::Events::Rule":
        for bus in named(properties.get("EventBusName")):
            yield from ((bus, target) for target in named(properties["Targets"]))


def starts(resources: dict[str, Any]) -> dict[str, set[str]]:
    """The functions that each queue, bucket, event bus or function starts by an event."""
    every = [(name, each["Type"], each.get("Properties", {})) for name, each in resources.items()]
    started: dict[str, set[str]] = {name: set() for name in resources}
    for resource in every:
        for source, function in triggers(*resource):
            started[source].add(function)
    for resource in every:
        for source, target in forwards(*resource):
            started[source] |= started[target]
    return started


SENDS = {"sqs:SendMessage", "lambda:InvokeFunction", "s3:PutObject", "sns:Publish", "events:PutEvents"}


def edges(template: dict[str, Any]) -> dict[str, set[str]]:
    """Return which functions each function may start, by an event of any kind."""
    resources = template["Resources"]
    started, found = starts(resources), {}
    for name in sam_template.functions(template):
        (role,) = named(resources[name]["Properties"]["Role"])
        found[name] = {
            target
            for statement in statements(resources, role)
            if SENDS & set(listed(statement["Action"]))
            for resource in named(statement["Resource"])
            for target in started.get(resource, ())
            if not only_other_objects(statement, resources.get(resource, {}))
        }
    return found


def only_other_objects(statement: dict[str, Any], resource: dict[str, Any]) -> bool:
    """Say whether the objects that may be written are of a prefix without notifications."""
    if resource.get("Type") != "AWS::S3::Bucket":
        return False
    text = str(statement["Resource"])
    rules = resource["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    prefixes = [rule["Filter"]["S3Key"]["Rules"][0]["Value"] if "Filter" in rule else "" for rule in rules]
    written = [part.split("'")[0].rstrip("*") for part in text.split(".Arn}/")[1:]]
    return not any(one.startswith(prefix) or prefix.startswith(one) for one in written for prefix in prefixes)


def cycles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the functions of each cycle that passes no function twice."""
    found: set[frozenset[str]] = set()

    def walk(first: str, path: list[str]) -> None:
        for following in graph[path[-1]]:
            if following == first:
                found.add(frozenset(path))
            elif following not in path:
                walk(first, [*path, following])

    for name in graph:
        walk(name, [name])
    return found


def problems(template: dict[str, Any]) -> list[str]:
    """Return what is wrong with the cycles of a template."""
    resources, found = template["Resources"], cycles(edges(template))
    allowed = {
        name
        for name in sam_template.functions(template)
        if resources[name]["Properties"].get("RecursiveLoop") == "Allow"
    }
    selves = {name for cycle in found if len(cycle) == 1 for name in cycle}
    return [
        *(f"{name} starts itself: Lambda stops it" for name in sorted(selves - allowed)),
        *(f"{name} is allowed to recur, and does not" for name in sorted(allowed - selves)),
        *(f"{name} has no bound of its own" for name in sorted(allowed - ALLOWED.keys())),
        *(
            f"{sorted(cycle)} is a cycle that nobody has thought about"
            for cycle in sorted(found, key=sorted)
            if len(cycle) > 1 and (cycle not in DETECTED or cycle <= allowed)
        ),
    ]


def test_every_cycle_of_functions_is_bounded() -> None:
    assert problems(TEMPLATE) == []


def test_the_edges_are_those_of_the_architecture() -> None:
    assert edges(TEMPLATE) == {
        "ScoreFunction": set(),
        "RankFunction": {"RescoreFunction"},
        "WebhookFunction": {"CollectFunction"},
        "CollectFunction": {"RankFunction"},
        "ReconcileFunction": {"RankFunction", "ScoreFunction", "RescoreFunction"},
        "WatchFunction": set(),
        "RescoreFunction": {"RankFunction", "RescoreFunction", "ScoreFunction"},
        "PredictFunction": {"ScoreFunction"},
    }


def without_permission(template):
    del template["Resources"]["RescoreFunction"]["Properties"]["RecursiveLoop"]


def another_self_call(template):
    statement = {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": ["UploadsQueue", "Arn"]},
    }
    policy = template["Resources"]["ScoreRole"]["Properties"]["Policies"][0]
    policy["PolicyDocument"]["Statement"].append(statement)


def through_a_bucket(template):
    statement = {
        "Effect": "Allow",
        "Action": ["s3:PutObject"],
        "Resource": [{"Fn::Sub": "${ImagesBucket.Arn}/thumbnails/*"}],
    }
    policy = template["Resources"]["ScoreRole"]["Properties"]["Policies"][0]
    policy["PolicyDocument"]["Statement"].append(statement)


def through_two_functions(template):
    statement = {
        "Effect": "Allow",
        "Action": ["lambda:InvokeFunction"],
        "Resource": {"Fn::GetAtt": ["CollectFunction", "Arn"]},
    }
    policy = template["Resources"]["RankRole"]["Properties"]["Policies"][0]
    policy["PolicyDocument"]["Statement"].append(statement)


def allowed_in_vain(template):
    template["Resources"]["WatchFunction"]["Properties"]["RecursiveLoop"] = "Allow"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_permission, "RescoreFunction starts itself"),
        (another_self_call, "ScoreFunction starts itself"),
        (through_a_bucket, "ScoreFunction starts itself"),
        (through_two_functions, "['CollectFunction', 'RankFunction'] is a cycle"),
        (allowed_in_vain, "WatchFunction is allowed to recur, and does not"),
    ],
)
def test_a_cycle_that_lambda_would_stop_is_found(change, says) -> None:
    template = copy.deepcopy(TEMPLATE)
    change(template)
    assert any(says in problem for problem in problems(template))
