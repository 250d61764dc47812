"""Read and describe the template's parameters for `octospoon up --set`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octospoon.cli import extras
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from octospoon.cli.deploy.sam_template import Template

TEMPLATE = Path("template.yaml")
_DECIDED = {
    "Classes": "give the class names with --classes",
    "LabelStudioUrl": "the local stack starts its own Label Studio",
    "LabelStudioProject": "the local stack creates the project",
    "LabelStudioTokenSecretArn": "the local stack creates the token",
    "ImagesBucketName": "the local stack has a bucket of its own: `octospoon drop` fills it",
    "ImagesPrefixes": "the local stack reads all of its own bucket",
    "ImagesKmsKeyArn": "the local stack has a bucket of its own",
    "Launcher": "the local stack runs a worker for training jobs",
}
_WIDTH = 96


def given(pairs: Sequence[str]) -> dict[str, str]:
    """Return the parameters of `--set NAME=VALUE`, each checked against the template.

    Raises:
        BadRequest: an argument has no equals sign, or the local stack sets this parameter itself.
        NotConfigured: the template has no such parameter, or the value is not allowed.
    """
    values = split(pairs)
    if values:
        _check_each(_template(), values)
    return values


def split(pairs: Sequence[str]) -> dict[str, str]:
    """Return the values of NAME=VALUE by name; raises BadRequest where there is no equals sign."""
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise BadRequest(f"--set takes NAME=VALUE, not {', '.join(wrong)}")
    return dict(pair.split("=", 1) for pair in pairs)


def check(values: Mapping[str, str]) -> None:
    """Check all parameters of the local stack before a server starts.

    LocalStack accepts any value and ignores the template's rules.

    Args:
        values: every parameter that was ever given; the others have their defaults.

    Raises:
        BadRequest: the local stack sets this parameter itself.
        NotConfigured: the template has no such parameter, refuses the value, or breaks a rule with it.
    """
    if not values:
        return
    from octospoon.cli.deploy.rules import check_rules

    template = _template()
    _check_each(template, values)
    check_rules(template, values)


def _template() -> Template:
    from octospoon.cli.deploy import sam_template

    return sam_template.read(TEMPLATE)


def _check_each(template: Template, values: Mapping[str, str]) -> None:
    from octospoon.cli.deploy.sam_template import check_values

    for name in values:
        if name in _DECIDED:
            raise BadRequest(f"--set {name}: {_DECIDED[name]}")
    check_values(template, values)


def described() -> str:
    """Return the parameters of `--set` with their descriptions, for `octospoon up --help`."""
    if not TEMPLATE.exists():
        return "To see the parameters of --set, run this command in a checkout: template.yaml declares them."
    if not extras.installed("local"):
        return 'To see the parameters of --set, install more packages: pip install "octospoon[local]"'
    declared = _template()["Parameters"]
    return "\n".join(
        [
            "parameters of --set:",
            *_entries((name, declared[name]) for name in declared if name not in _DECIDED),
        ]
    )


def _entries(declared: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterable[str]:
    for name, declaration in declared:
        default = declaration.get("Default", "")
        text = f"{declaration['Description'].strip()} (default: {default if default != '' else 'empty'}"
        allowed = ", ".join(str(value) for value in declaration.get("AllowedValues", []))
        text += f"; one of {allowed})" if allowed else ")"
        yield f"  {name}"
        # a path must not be broken at its hyphens
        yield from textwrap.wrap(
            text, _WIDTH, initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False
        )
