"""The octospoon command: puts the commands together, and turns every failure into one sentence."""

from __future__ import annotations

import difflib
import os
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer.main import get_command

from octospoon import __version__
from octospoon.cli.commands import (
    demo,
    dlq,
    doctor,
    down,
    drop,
    init_model,
    label_studio,
    logs,
    model,
    picture,
    predict,
    rank,
    reconcile,
    report,
    rescore,
    simulate,
    status,
    trace,
    up,
    watch,
)
from octospoon.cli.commands.definition import Group, examples

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
"""Typer's exit status after Ctrl-C."""

app = typer.Typer(
    name="octospoon",
    cls=Group,
    help="Event-driven active learning for images.",
    epilog=examples(
        "octospoon up --classes cat,dog",
        "octospoon drop photos/",
        "octospoon status",
        "octospoon drop --help",
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
for module in (demo, up, down, drop, predict, status, report, rank, picture, model, rescore, simulate):
    app.add_typer(module.app)
for module in (doctor, trace, logs, dlq, reconcile, watch, init_model, label_studio):
    app.add_typer(module.app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def octospoon(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Event-driven active learning for images."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status.

    Returns:
        0; 1 after a failure, with its reason on standard error; 2 for a command line that makes no sense;
        130 after Ctrl-C.
    """
    try:
        exit_status = get_command(app).main(argv, "octospoon", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _misused(error)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - nobody is shown a traceback
        from octospoon.cli.failures import sentence

        _complain(sentence(error))
        return 1
    if exit_status == INTERRUPTED:
        _complain("interrupted")
    return exit_status or 0


def _misused(error: typer.TyperException) -> int:
    """Print what is wrong with the command line, what may have been meant, and where help is."""
    message = error.format_message().replace("Value error, ", "")
    if not message:  # the help was printed instead
        return error.exit_code
    context: typer.Context | None = getattr(error, "ctx", None)
    hint = f" `{context.command_path} --help` shows what there is." if context else ""
    _complain(
        f"{message if message.endswith('?') else message.rstrip('. ') + '.'}{_suggestion(message)}{hint}"
    )
    return error.exit_code


def _suggestion(message: str) -> str:
    """Return the choices that are most like the rejected value; empty where no choice is like it."""
    rejected = re.match(r".*'([^']*)' is not one of (.*)", message)
    near = difflib.get_close_matches(rejected[1], re.findall(r"'([^']*)'", rejected[2])) if rejected else []
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def _complain(text: str) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(
        f"octospoon: {text}", style="red", markup=False, highlight=False
    )
