"""The template's rules: which parameters go together.

CloudFormation checks them too, but only at the end, and LocalStack never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from octospoon.cli.deploy.sam_template import Template


def check_rules(template: Template, given: Mapping[str, str]) -> None:
    """Check parameters that depend on each other.

    Args:
        template: with the rules.
        given: values of parameters; the others have their defaults.

    Raises:
        NotConfigured: a rule is broken; the message is the template's own.
    """
    values = with_defaults(template, given)
    broken = [
        str(assertion["AssertDescription"])
        for assertion in _assertions(template, values)
        if not holds(template, assertion["Assert"], values)
    ]
    if broken:
        raise NotConfigured(". ".join(broken))


def demanded(template: Template, given: Mapping[str, str]) -> list[str]:
    """Return the parameters that must not be empty with these values, in the template's order.

    Args:
        template: with the rules.
        given: values of parameters; the others have their defaults.
    """
    values = with_defaults(template, given)
    names = {
        condition["Fn::Not"][0]["Fn::Equals"][0]["Ref"]
        for assertion in _assertions(template, values)
        for condition in [assertion["Assert"]]
        if _is_not_empty(condition)
    }
    return [name for name in template["Parameters"] if name in names]


def with_defaults(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Return the values of all parameters of a template; without a default and a value, they are empty."""
    declared = template["Parameters"].items()
    return {name: str(parameter.get("Default", "")) for name, parameter in declared} | dict(given)


def _assertions(template: Template, values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for rule in template.get("Rules", {}).values():
        if "RuleCondition" not in rule or holds(template, rule["RuleCondition"], values):
            yield from rule["Assertions"]


def _is_not_empty(condition: Any) -> bool:  # noqa: ANN401 - whatever the template holds
    """Return whether a condition is ``!Not [!Equals [!Ref NAME, ""]]``."""
    match condition:
        case {"Fn::Not": [{"Fn::Equals": [{"Ref": _}, ""]}]}:
            return True
    return False


def holds(template: Template, condition: Any, values: Mapping[str, str]) -> bool:  # noqa: ANN401 - of a template
    """Return whether a condition holds.

    Args:
        template: with the named conditions.
        condition: the name of a condition, or its functions.
        values: of all parameters, see `with_defaults`.

    Raises:
        NotConfigured: the condition has a function that octospoon cannot read.
    """
    if isinstance(condition, str):
        return holds(template, template["Conditions"][condition], values)
    ((function, arguments),) = condition.items()
    if function == "Condition":
        return holds(template, arguments, values)
    if function == "Fn::Equals":
        first, second = (_text(part, values) for part in arguments)
        return first == second
    if function == "Fn::Contains":
        return _text(arguments[1], values) in [_text(part, values) for part in arguments[0]]
    if function not in ("Fn::And", "Fn::Or", "Fn::Not"):
        raise NotConfigured(f"octospoon cannot read {function} in a rule of the template")
    results = [holds(template, part, values) for part in arguments]
    if function == "Fn::And":
        return all(results)
    return any(results) if function == "Fn::Or" else not results[0]


def _text(value: Any, values: Mapping[str, str]) -> str:  # noqa: ANN401 - whatever the template holds
    return values[value["Ref"]] if isinstance(value, dict) else str(value)
