"""Compare the rights that were needed with those that the template's policies give."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tools.requests.iam import allows, listed, pattern_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.requests.record import Need, Record

PROGRAMS = {"octospoon-worker": "WorkerPolicy", "label-studio": "LabelStudioUser"}
"""Programs that have the test's keys on LocalStack, and what gives them their rights on AWS."""
_PHYSICAL = re.compile(r"(?P<stack>.+)-(?P<logical>[A-Z]\w+)-[0-9a-f]+")


@dataclass(frozen=True, order=True)
class Right:
    """A right that a policy of the template gives.

    Attributes:
        owner: logical id of the role, user or managed policy.
        statement: the policy and the statement's Sid.
        action: of IAM; empty for a resource, which some action must be used on.
        resource: the number of the resource in its statement, from 1; 0 for an action on any of them.
    """

    owner: str
    statement: str
    action: str
    resource: int = 0

    def __str__(self) -> str:
        return f"{self.owner} {self.statement} {self.action or f'resource {self.resource}'}"


@dataclass(frozen=True)
class Given:
    """A statement of a deployed policy.

    Attributes:
        owner: logical id of who has it.
        name: the policy and the statement's Sid.
        statement: the statement.
    """

    owner: str
    name: str
    statement: Mapping[str, Any]

    def rights(self) -> Iterator[tuple[Right, str, str]]:
        """Yield each right, with the pattern of its action and that of its resource, or "" for any."""
        resources = listed(self.statement["Resource"])
        for action in listed(self.statement["Action"]):
            yield Right(self.owner, self.name, action), action, ""
        if len(resources) > 1:
            for number, resource in enumerate(resources, 1):
                yield Right(self.owner, self.name, "", number), "", resource

    def used(self, need: Need) -> set[Right]:
        """Return the rights that a request needed; none if the statement does not allow it."""
        conditions = dict(need.conditions)
        if not allows(self.statement, need.action, need.resource, conditions):
            return set()
        return {
            right
            for right, action, resource in self.rights()
            if (not action or pattern_of(action, re.IGNORECASE).fullmatch(need.action))
            and (not resource or pattern_of(resource).fullmatch(need.resource))
        }


@dataclass
class Comparison:
    """What was needed against what is given.

    Attributes:
        refused: requests that no policy allows, and how often they were made.
        used: how many needs each right has served.
        given: every right of the deployed policies.
        twice: rights that another statement of the same caller gives too.
    """

    refused: Counter[Need] = field(default_factory=Counter)
    used: Counter[Right] = field(default_factory=Counter)
    given: set[Right] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)

    @property
    def vain(self) -> set[Right]:
        """The rights that nothing needed."""
        return self.given - self.used.keys()


def logical(physical: str) -> tuple[str, str]:
    """Return the stack and the logical id in a generated name; the name itself where it is none."""
    match = _PHYSICAL.fullmatch(physical)
    return (match["stack"], match["logical"]) if match else ("", physical)


def given_to(caller: str, policies: Mapping[str, Any]) -> list[Given]:
    """Return the statements of a caller's policies.

    Args:
        caller: as recorded.
        policies: its documents by name; for a program, those of every user and managed policy.
    """
    kind, _, name = caller.partition("/")
    statements: list[Given] = []
    for policy, document in policies.items():
        holder, _, own = policy.rpartition("/")
        if kind == "app":
            stack, owner = logical(holder or own)
            if owner != PROGRAMS.get(name):
                continue
            own = own if holder else owner
        else:
            stack, owner = logical(name)
        own = own.removeprefix(f"{stack}-")
        statements += [
            Given(owner, f"{own}.{statement.get('Sid', '')}", statement)
            for statement in listed(document["Statement"])
        ]
    return statements


def given_twice(statements: list[Given]) -> Iterator[str]:
    """Yield each action on a resource that a statement gives, and another of the same caller as well."""
    rights = [
        (given, action, resource)
        for given in statements
        if "Condition" not in given.statement
        for action in listed(given.statement["Action"])
        for resource in dict.fromkeys(listed(given.statement["Resource"]))
    ]
    for given, action, resource in rights:
        for other, same, wider in rights:
            if other is not given and same == action and pattern_of(wider).fullmatch(resource):
                yield f"{given.owner} {given.name} {action}: {other.name} gives it too"


def compare(record: Record) -> Comparison:
    """Compare the rights that a record needed with the recorded policies.

    Whoever has no policies, such as the command line with the operator's keys, may do everything.
    """
    comparison = Comparison()
    statements = {caller: given_to(caller, policies) for caller, policies in record.policies.items()}
    for several in statements.values():
        comparison.given |= {right for given in several for right, _, _ in given.rights()}
        comparison.twice |= set(given_twice(several))
    for need, times in record.needs.items():
        if need.caller not in statements:
            continue
        used = set[Right]().union(*(given.used(need) for given in statements[need.caller]))
        for right in used:
            comparison.used[right] += times
        if not used:
            comparison.refused[need] += times
    return comparison
