"""The template's parameters on the command line: what there is, and whether a value is allowed."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octospoon.cli.deploy import sam_template
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TEMPLATE = Path("template.yaml")
_DECIDED = {
    "Classes": "give the class names with --classes",
    "LabelStudioUrl": "the local stack brings its own Label Studio",
    "LabelStudioProject": "the local stack sets its project up",
    "LabelStudioToken": "the local stack makes the token",
    "Launcher": "the local stack runs a worker",
}
_WIDTH = 96


def given(pairs: Sequence[str]) -> dict[str, str]:
    """Return the parameters of `--set NAME=VALUE`, checked against the template.

    Raises:
        BadRequest: a pair is none, or its name or value is not allowed.
    """
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise BadRequest(f"--set takes NAME=VALUE, not {', '.join(wrong)}")
    values = dict(pair.split("=", 1) for pair in pairs)
    check(values)
    return values


def check(values: Mapping[str, str]) -> None:
    """Check parameters of the local stack before anything starts.

    Raises:
        BadRequest: the local stack decides one itself.
        NotConfigured: there is no such parameter, or its value is not allowed.
    """
    if not values:
        return
    for name in values:
        if name in _DECIDED:
            raise BadRequest(f"--set {name}: {_DECIDED[name]}")
    sam_template.check_values(sam_template.read(TEMPLATE), values)


def described() -> str:
    """Return the parameters that `--set` takes with their descriptions, for `octospoon up --help`."""
    if not TEMPLATE.exists():
        return "The parameters of --set are those of template.yaml: run this in the checkout to see them."
    declared = sam_template.read(TEMPLATE)["Parameters"]
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
        yield from textwrap.wrap(text, _WIDTH, initial_indent="      ", subsequent_indent="      ")
