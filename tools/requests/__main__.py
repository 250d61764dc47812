"""Print what a record of requests shows: ``python -m tools.requests FILE``.

Exits with 1 if a request was invalid or refused, if a right is given in vain, or if an exception is.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tools.requests import expected, template
from tools.requests.record import read
from tools.requests.rights import PROGRAMS, compare, logical

from octospoon.cli.deploy import sam_template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.requests.record import Record
    from tools.requests.rights import Comparison, Right

ROOT = Path(__file__).parents[2]


def main(file: Path) -> int:
    """Print the report; return the exit status."""
    with file.open(encoding="utf-8") as lines:
        record = read(lines)
    comparison = compare(record)
    resources = sam_template.read(ROOT / "template.yaml")["Resources"]
    print("\n".join([*counts(record), ""]))
    wrong = list(findings(record, comparison, template.rights(resources)))
    print("\n".join(wrong or [verdict(record, comparison)]))
    return 1 if wrong else 0


def counts(record: Record) -> Iterable[str]:
    """Yield a line for each operation: how often it was requested, and by whom."""
    by_operation: dict[str, Counter[str]] = {}
    for (caller, operation), times in record.requests.items():
        by_operation.setdefault(operation, Counter())[owner(caller)] += times
    for operation, callers in sorted(by_operation.items()):
        who = ", ".join(f"{name} {times}" for name, times in callers.most_common())
        yield f"{callers.total():>7} {operation}: {who}"


def owner(caller: str) -> str:
    """Return a caller as the template names it."""
    name = caller.partition("/")[2]
    return PROGRAMS.get(name) or (logical(name)[1] if name else caller)


def findings(record: Record, comparison: Comparison, of_template: set[Right]) -> Iterable[str]:
    """Yield a line for everything that must not be."""
    for problem, times in record.problems.items():
        yield f"invalid, {times} times: {problem}"
    refused = Counter[tuple[str, str]]()
    for need, times in comparison.refused.items():
        if not expected.on_aws_never(need):
            refused[owner(need.caller), need.action] += times
    for (caller, action), times in refused.items():
        yield f"allowed by no policy, {times} times: {action} for {caller}"
    yield from (f"given twice: {right}" for right in sorted(comparison.twice))
    vain = expected.unexpected(map(str, comparison.vain), expected.SOMETIMES)
    absent = [str(right) for right in of_template - comparison.given]
    for kind, rights, entries in (
        ("allowed in vain", vain, expected.UNUSED),
        ("in no deployed stack", absent, expected.NOT_DEPLOYED),
    ):
        yield from (f"{kind}: {right}" for right in expected.unexpected(rights, entries))
        yield from (f"no exception any more: {entry}" for entry in expected.unnecessary(rights, entries))


def verdict(record: Record, comparison: Comparison) -> str:
    """Return the line for a record without findings."""
    owners = {owner(caller) for caller in record.policies}
    return (
        f"{record.total} requests, all valid and allowed; {len(owners)} roles, users and policies give "
        f"{len(comparison.given)} rights: {len(comparison.used)} were used, {len(comparison.vain)} were not, "
        "with a reason"
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
