"""Decide as IAM does whether a statement of a policy allows an action on a resource."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Statement = "Mapping[str, Any]"


def listed(value: Any) -> list[Any]:
    """Return a list as it is, and anything else as the only item of one."""
    return value if isinstance(value, list) else [value]


def allows(
    statement: Mapping[str, Any], action: str, resource: str, given: Mapping[str, Sequence[str]]
) -> bool:
    """Return whether a statement allows a request.

    Args:
        statement: of a policy, with "Effect": "Allow".
        action: such as ``s3:GetObject``.
        resource: its ARN, or "*" for an action that has no resource.
        given: the values of the keys that conditions compare.

    Raises:
        NotImplementedError: the statement has something that no policy of the template has.
    """
    if statement["Effect"] != "Allow" or statement.keys() & {"NotAction", "NotResource"}:
        raise NotImplementedError(f"only statements that allow actions: {statement}")
    return (
        any(pattern_of(pattern, re.IGNORECASE).fullmatch(action) for pattern in listed(statement["Action"]))
        and any(pattern_of(pattern).fullmatch(resource) for pattern in listed(statement["Resource"]))
        and holds(statement.get("Condition", {}), given)
    )


@cache
def pattern_of(text: str, flags: int = 0) -> re.Pattern[str]:
    """Return a pattern of IAM, where ``*`` and ``?`` stand for any characters and for one."""
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in text)
    return re.compile("".join(parts), flags | re.DOTALL)


def holds(condition: Mapping[str, Mapping[str, Any]], given: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a statement's condition holds.

    Args:
        condition: operators, each with the values that keys are compared with.
        given: the values that the request has; a key without values is missing.
    """
    known = {name.lower(): values for name, values in given.items() if values}
    return all(
        _compared(operator, listed(wanted), known.get(name.lower(), ()))
        for operator, keys in condition.items()
        for name, wanted in keys.items()
    )


def _compared(operator: str, wanted: list[Any], values: Sequence[str]) -> bool:
    if operator == "Null":
        return (not values) is (str(wanted[0]).lower() == "true")
    name = operator.removesuffix("IfExists")
    if not values:
        return name != operator
    try:
        same = _OPERATORS[name]
    except KeyError:
        raise NotImplementedError(f"the operator {operator}") from None
    # a key with several values is that of a request for several resources: each must be allowed
    return all(any(same(str(pattern), value) for pattern in wanted) for value in values)


def _like(pattern: str, value: str) -> bool:
    return pattern_of(pattern).fullmatch(value) is not None


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
}
