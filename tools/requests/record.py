"""Read what LocalStack recorded: requests, who made them, and the policies of these callers."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Need:
    """A right that a request needed.

    Attributes:
        caller: as recorded, such as ``role/octospoon-ScoreRole-1a2b3c4d``.
        operation: of which service, and which; such as ``s3.HeadObject``.
        action: of IAM.
        resource: its ARN.
        conditions: the values of the keys that conditions compare.
    """

    caller: str
    operation: str
    action: str
    resource: str
    conditions: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass
class Record:
    """What was recorded.

    Attributes:
        requests: how often each caller made each operation.
        needs: how often each right was needed.
        policies: the documents of each caller's policies, by name, as they were last.
        problems: requests that the service models refuse, with what is wrong, and how often.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    needs: Counter[Need] = field(default_factory=Counter)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """The number of requests."""
        return self.requests.total()


def read(lines: Iterable[str]) -> Record:
    """Read a record.

    A line ``{"same": {name: name}}`` says that a test's own table, queue or bucket stands for one of a stack.
    """
    record = Record()
    same: dict[str, str] = {}
    made = []
    for line in map(json.loads, lines):
        if "same" in line:
            same |= line["same"]
        elif "policies_of" in line:
            # a stack that is being deleted has fewer, one that is being made has not all yet
            record.policies.setdefault(line["policies_of"], {}).update(line["policies"])
        else:
            made.append(line)
    for line in made:
        _add(record, line, same)
    return record


def _add(record: Record, line: dict[str, Any], same: dict[str, str]) -> None:
    operation = f"{line.get('service', '')}.{line.get('operation', '')}"
    caller = line.get("caller", "")
    record.requests[caller, operation] += 1
    if line["problems"]:
        record.problems[f"{operation} by {caller}: {'; '.join(line['problems'])}"] += 1
    conditions = tuple((key, tuple(values)) for key, values in line.get("conditions", {}).items())
    for action, resource in line.get("needs", []):
        named = re.sub(r"[^:/]+", lambda part: same.get(part[0], part[0]), resource)
        record.needs[Need(caller, operation, action, named, conditions)] += 1
