"""The rights that the policies of template.yaml give, whatever its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tools.requests.iam import listed
from tools.requests.rights import Right

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STACK = "${AWS::StackName}-"


def rights(resources: Mapping[str, Any]) -> set[Right]:
    """Return every action that a policy gives to a role, a user or whoever takes it."""
    return {
        Right(owner, f"{policy}.{statement['Sid']}", action)
        for owner, policy, document in _policies(resources)
        for statement in branches(document["Statement"])
        for action in listed(statement["Action"])
    }


def _policies(resources: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name, resource in resources.items():
        given = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            for policy in branches(given.get("Policies", [])):
                yield name, policy["PolicyName"], policy["PolicyDocument"]
        elif resource["Type"] == "AWS::IAM::ManagedPolicy":
            yield name, name, given["PolicyDocument"]
        elif resource["Type"] == "AWS::IAM::Policy":
            policy = given["PolicyName"]
            policy = policy["Fn::Sub"].removeprefix(_STACK) if isinstance(policy, dict) else policy
            for owner in branches([given.get("Roles", []), given.get("Users", [])]):
                if owner["Ref"] in resources:  # the role of Label Studio is a parameter
                    yield owner["Ref"], policy, given["PolicyDocument"]


def branches(value: Any) -> Iterator[Any]:
    """Yield the members of a list, and both outcomes of each condition, except for AWS::NoValue."""
    for each in listed(value):
        if isinstance(each, list):
            yield from branches(each)
        elif isinstance(each, dict) and "Fn::If" in each:
            yield from branches(each["Fn::If"][1:])
        elif each != {"Ref": "AWS::NoValue"}:
            yield each
