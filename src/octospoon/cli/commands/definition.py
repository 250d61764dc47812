"""How every command is declared: its help, its examples, and the options that many commands share."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

Stack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        metavar="STACK",
        help="CloudFormation stack on AWS (default: OCTOSPOON_STACK, else the local stack).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]

Instruction = Annotated[
    Path | None,
    typer.Option(
        "--instruction",
        metavar="FILE",
        help="Text or HTML that Label Studio shows to annotators before they label.",
    ),
]


class Command(TyperCommand):
    """A command whose help is the docstring of its function, with each paragraph on one line."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - as Typer has them
        super().__init__(*arguments, **settings)
        self.help = one_line_paragraphs(self.help or "")
        if any(parameter.name == "stack" for parameter in self.params):
            self.params += _sign_in_options()

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - Typer does not export the types
        """Return the parameters."""
        return without_flag_types(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands, such as `octospoon model`."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - Typer does not export the types
        """Return the parameters."""
        return without_flag_types(super().get_params(ctx))


def _choose(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> None:
    """Remember the value of an option for `octospoon.cli.deployment.session`."""
    del context
    from octospoon.cli.deployment.session import CHOICE

    setattr(CHOICE, str(parameter.name), value)
    CHOICE.stack = None


def _sign_in_options() -> list[Any]:
    """Return the options of every command that has `--stack`. They reach the session, not the function."""

    def options(
        region: Annotated[
            str | None,
            typer.Option(
                metavar="REGION",
                callback=_choose,
                help="AWS region of the stack (default: AWS_REGION, AWS_DEFAULT_REGION, the profile's "
                "region, or the region in samconfig.toml).",
            ),
        ] = None,
        profile: Annotated[
            str | None,
            typer.Option(
                metavar="PROFILE",
                callback=_choose,
                help="AWS profile to sign in with (default: AWS_PROFILE).",
            ),
        ] = None,
    ) -> None:
        del region, profile

    app = typer.Typer(add_completion=False)
    app.command()(options)
    shared_options = [option for option in get_command(app).params if option.name in ("region", "profile")]
    for option in shared_options:
        option.expose_value = False
    return shared_options


def without_flag_types(parameters: list[Any]) -> list[Any]:
    """Leave out ``<bool>`` behind the options that take no value, such as ``--json <bool>``."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


def one_line_paragraphs(text: str) -> str:
    """Return a text without line breaks inside its paragraphs: the terminal breaks them where it ends."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def examples(*lines: str) -> str:
    """Return the end of a command's help, with a command line on each line."""
    return "\n".join(["Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)])
