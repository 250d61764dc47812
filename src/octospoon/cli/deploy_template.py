"""The SAM template as data: CloudFormation's short tags become their long forms, so that JSON can hold it."""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, Any

import yaml

from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Template = dict[str, Any]

_PLAIN_TAGS = {"!Ref": "Ref", "!Condition": "Condition"}
_FUNCTION = "AWS::Serverless::Function"


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags."""


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
    # a SafeLoader with constructors for CloudFormation's tags and nothing else
    template: Template = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    return template


def functions(template: Template) -> list[str]:
    """Return the logical ids of the functions, in the template's order."""
    return [name for name, resource in template["Resources"].items() if resource["Type"] == _FUNCTION]


def with_code(template: Template, code: Mapping[str, str | dict[str, str]]) -> Template:
    """Return the template with every function's code where it was put, as `sam package` writes it."""
    resources = dict(template["Resources"])
    for name in functions(template):
        resource = {key: value for key, value in resources[name].items() if key != "Metadata"}
        resources[name] = resource | {"Properties": resource["Properties"] | {"CodeUri": code[name]}}
    return template | {"Resources": resources}


def check_value(name: str, declaration: Mapping[str, Any], value: str) -> None:
    """Check one parameter's value against its declaration: LocalStack takes any, AWS refuses late.

    Raises:
        NotConfigured: with what is allowed.
    """
    allowed = [str(one) for one in declaration.get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise NotConfigured(f"{name} is {value!r}: it must be one of {', '.join(allowed)}")
    if not re.fullmatch(declaration.get("AllowedPattern", ".*"), value, re.DOTALL):
        told = name if declaration.get("NoEcho") else f"{name} is {value!r}: it"
        raise NotConfigured(f"{told} {declaration['ConstraintDescription']}")
    if declaration["Type"] == "Number" and not _within(declaration, value):
        low, high = declaration.get("MinValue", "any"), declaration.get("MaxValue", "any")
        raise NotConfigured(f"{name} is {value!r}: it must be a number from {low} to {high}")


def _within(declaration: Mapping[str, Any], value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return float(declaration.get("MinValue", -inf)) <= number <= float(declaration.get("MaxValue", inf))
