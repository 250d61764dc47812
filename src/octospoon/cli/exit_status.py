"""Runs a command line, and turns whatever happens into an exit status and one sentence."""

from __future__ import annotations

import os
import re
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

import typer
from typer.main import get_command

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
"""Typer's exit status after Ctrl-C."""


def run(app: typer.Typer, arguments: Sequence[str] | None, name: str) -> int:
    """Run one command; return the exit status.

    Args:
        app: the commands.
        arguments: the command line without the program; None for the command line of this process.
        name: of the program, as help shows it.

    Returns:
        0; 1 after a failure, with its reason on standard error; 2 for a command line that makes no sense;
        130 after Ctrl-C.
    """
    try:
        exit_status = get_command(app).main(arguments, name, standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _misused(error)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - a sentence instead of a traceback
        from octospoon.cli.failures import sentence

        _complain(sentence(error))
        return 1
    if exit_status == INTERRUPTED:
        _complain("interrupted")
    return exit_status or 0


def _misused(error: typer.TyperException) -> int:
    """Print the error in the command line, similar names, and where help is."""
    message = error.format_message().replace("Value error, ", "")
    if not message:  # the help was printed instead
        return error.exit_code
    context: typer.Context | None = getattr(error, "ctx", None)
    hint = f" `{context.command_path} --help` shows what there is." if context else ""
    text = message if message.endswith("?") else f"{message.rstrip('. ')}."
    _complain(f"{text}{_suggestion(message)}{hint}")
    return error.exit_code


def _suggestion(message: str) -> str:
    """Return the choices that are most like the rejected value; empty if no choice is like it."""
    rejected = re.match(r".*'([^']*)' is not one of (.*)", message)
    near = get_close_matches(rejected[1], re.findall(r"'([^']*)'", rejected[2])) if rejected else []
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def _complain(text: str) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(
        f"octospoon: {text}", style="red", markup=False, highlight=False
    )
