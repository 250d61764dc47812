"""What CloudFormation makes of a template: parameters, conditions and intrinsic functions."""

from __future__ import annotations

import re
from pathlib import Path

from octospoon.cli.deploy import sam_template

ROOT = Path(__file__).parents[3]
TEMPLATE = sam_template.read(ROOT / "template.yaml")
RESOURCES = TEMPLATE["Resources"]
STACK_UUID = "5a4c1e30-7f1b-11f0-9d3e-0e2f5a5d4c4b"
PSEUDO_PARAMETERS = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackId": f"arn:aws:cloudformation:eu-west-1:123456789012:stack/octospoon/{STACK_UUID}",
    "AWS::StackName": "octospoon",
    "AWS::URLSuffix": "amazonaws.com",
}


def of(kind):
    """Return the properties of all resources of a type, by logical id."""
    found = {name: each for name, each in RESOURCES.items() if each["Type"] == kind}
    return {name: each.get("Properties", {}) for name, each in found.items()}


def listed(value):
    return value if isinstance(value, list) else [value]


def name_in(reference):
    """Return the logical id in ``{"Fn::GetAtt": [id, …]}`` or ``{"Ref": id}``."""
    return reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0]


def refused(given):
    """Return the descriptions of the template's rules that these parameters break."""
    return [
        assertion["AssertDescription"]
        for rule in TEMPLATE["Rules"].values()
        if resolved(rule["RuleCondition"], given)
        for assertion in rule["Assertions"]
        if not resolved(assertion["Assert"], given)
    ]


def resolved(value, given, template=TEMPLATE):
    """Return what CloudFormation makes of a value, given some parameters; None for no value.

    What it makes of a resource is given too: under its logical id, or under ``id.attribute``.
    """
    values = {name: each.get("Default", "") for name, each in template["Parameters"].items()} | given
    values = PSEUDO_PARAMETERS | {name: str(value) for name, value in values.items()}

    def resolve(node):
        if isinstance(node, list):
            return [each for each in map(resolve, node) if each is not None]
        if not isinstance(node, dict):
            return node
        (name, argument), *others = node.items()
        if others or not (name.startswith("Fn::") or name in ("Ref", "Condition")):
            return {key: resolve(each) for key, each in node.items()}
        if name == "Condition":
            return resolve(template["Conditions"][argument])
        if name == "Fn::If":
            return resolve(argument[1 if resolve(template["Conditions"][argument[0]]) else 2])
        if name == "Fn::FindInMap":
            first, second, third = map(resolve, argument)
            return template["Mappings"][first][second][third]
        return FUNCTIONS_OF_CLOUDFORMATION[name](argument, resolve, values)

    return resolve(value)


def substituted(argument, resolve, values):
    text, own = argument if isinstance(argument, list) else (argument, {})
    known = values | {name: resolve(each) for name, each in own.items()}
    return re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], text)


FUNCTIONS_OF_CLOUDFORMATION = {
    "Ref": lambda name, _, values: None if name == "AWS::NoValue" else values[name],
    "Fn::GetAtt": lambda given, _, values: values[".".join(given)],
    "Fn::And": lambda given, resolve, _: all(resolve(each) for each in given),
    "Fn::Or": lambda given, resolve, _: any(resolve(each) for each in given),
    "Fn::Contains": lambda given, resolve, _: resolve(given[1]) in resolve(given[0]),
    "Fn::Not": lambda given, resolve, _: not resolve(given[0]),
    "Fn::Equals": lambda given, resolve, _: str(resolve(given[0])) == str(resolve(given[1])),
    "Fn::Sub": substituted,
    "Fn::Join": lambda given, resolve, _: given[0].join(resolve(given[1])),
    "Fn::Split": lambda given, resolve, _: resolve(given[1]).split(given[0]),
    "Fn::Select": lambda given, resolve, _: resolve(given[1])[int(given[0])],
}
