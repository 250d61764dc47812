"""The commands that find out what happened: `octospoon trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from octospoon.cli.model_commands import Commands, Deployed


def add(commands: Commands, deployed: Deployed) -> None:
    """Add the commands; see `octospoon.cli.model_commands.add`."""
    command = deployed(commands, "trace", _trace, "tell one image's whole story")
    command.add_argument("key", metavar="KEY", help="object key in the images bucket")
    _json(command)


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON; times are epoch seconds")


def _trace(arguments: argparse.Namespace) -> None:
    from octospoon.cli.context import find_deployment
    from octospoon.cli.trace import show

    show(find_deployment(arguments.stack), arguments.key, as_json=arguments.json)
