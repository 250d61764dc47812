"""Read the SAM template as data. CloudFormation's short tags become long forms, which JSON can hold."""

from __future__ import annotations

import difflib
import re
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import yaml

from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Template = dict[str, Any]

_PLAIN_TAGS = {"!Ref": "Ref", "!Condition": "Condition"}
_FUNCTION = "AWS::Serverless::Function"
_LONGEST = 4096
"""Maximum number of characters of a parameter in CloudFormation."""


# libyaml reads the template ten times as fast; PyYAML's wheels have it, a build without a C compiler has not
_SAFE = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(_SAFE):  # type: ignore[misc, valid-type]  # chosen when the module is imported
    """A loader that also reads CloudFormation's tags."""


def _value(loader: _Loader, node: yaml.Node) -> Any:  # noqa: ANN401 - whatever the template holds
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    raise yaml.constructor.ConstructorError(None, None, f"cannot read {node.tag}", node.start_mark)


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value = _value(loader, node)
    tag = f"!{suffix}"
    if tag == "!GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {_PLAIN_TAGS.get(tag, f"Fn::{suffix}"): value}


_Loader.add_multi_constructor("!", _long_form)


def read(path: Path) -> Template:
    """Read a template; ``!Ref A`` becomes ``{"Ref": "A"}``, ``!Sub A`` becomes ``{"Fn::Sub": "A"}``."""
    # safe: the loader is a SafeLoader, with constructors for CloudFormation's tags only
    template: Template = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    return template


def functions(template: Template) -> list[str]:
    """Return the logical ids of the functions, in the order of the template."""
    return [name for name, resource in template["Resources"].items() if resource["Type"] == _FUNCTION]


def with_code(template: Template, code: Mapping[str, str | dict[str, str]]) -> Template:
    """Return the template with the address of each function's code, as `sam package` writes it."""
    resources = dict(template["Resources"])
    for name in functions(template):
        resource = {key: value for key, value in resources[name].items() if key != "Metadata"}
        resources[name] = resource | {"Properties": resource["Properties"] | {"CodeUri": code[name]}}
    return template | {"Resources": resources}


def check_values(template: Template, values: Mapping[str, str]) -> None:
    """Check the values of parameters, because LocalStack accepts any value and AWS refuses late.

    Raises:
        NotConfigured: the template has no such parameter, or the value is not allowed.
    """
    declared = template["Parameters"]
    for name, value in values.items():
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=2)
            hint = f": did you mean {' or '.join(near)}?" if near else "; `octospoon up --help` lists them"
            raise NotConfigured(f"the template has no parameter {name}{hint}")
        check_value(name, declared[name], value)


def check_value(name: str, declaration: Mapping[str, Any], value: str) -> None:
    """Check the value of a parameter against its declaration.

    Raises:
        NotConfigured: the value is not allowed; the message says which values are.
    """
    subject = name if declaration.get("NoEcho") else f"{name} is {value!r}: it"
    allowed = [str(choice) for choice in declaration.get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise NotConfigured(f"{subject} must be one of {', '.join(allowed)}")
    if not re.fullmatch(declaration.get("AllowedPattern", ".*"), value, re.DOTALL):
        must = declaration.get("ConstraintDescription", f"must match {declaration.get('AllowedPattern')}")
        raise NotConfigured(f"{subject} {must}")
    if declaration["Type"] == "Number" and not _within(declaration, value):
        raise NotConfigured(f"{subject} must be {_range(declaration)}")
    shortest, longest = int(declaration.get("MinLength", 0)), int(declaration.get("MaxLength", _LONGEST))
    if not shortest <= len(value) <= longest:
        raise NotConfigured(f"{name} has {len(value)} characters: it must have {shortest} to {longest}")


def _within(declaration: Mapping[str, Any], value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    whole = number.is_integer() or not _whole(declaration)
    low, high = float(declaration.get("MinValue", -inf)), float(declaration.get("MaxValue", inf))
    return isfinite(number) and whole and low <= number <= high


def _whole(declaration: Mapping[str, Any]) -> bool:
    """Say whether a parameter is a count. A share has a maximum of 1, or fractions in its declaration."""
    bounds = [declaration[name] for name in ("Default", "MinValue", "MaxValue") if name in declaration]
    return all(isinstance(bound, int) for bound in bounds) and declaration.get("MaxValue") != 1


def _range(declaration: Mapping[str, Any]) -> str:
    kind = "a whole number" if _whole(declaration) else "a number"
    low, high = declaration.get("MinValue"), declaration.get("MaxValue")
    if low is None and high is None:
        return kind
    if high is None:
        return f"{kind}, {low} or more"
    return f"{kind} from {low} to {high}"
