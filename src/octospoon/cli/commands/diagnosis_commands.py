"""The commands that find out what happened: `octospoon trace` and `octospoon doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from octospoon.cli.commands.model_commands import Commands, Deployed


def add(commands: Commands, deployed: Deployed) -> None:
    """Add the commands; see `octospoon.cli.commands.model_commands.add`."""
    command = deployed(commands, "trace", _trace, "tell one image's whole story")
    command.add_argument("key", metavar="KEY", help="object key in the images bucket")
    command.add_argument("--json", action="store_true", help="print JSON; times are epoch seconds")
    command = deployed(commands, "doctor", _doctor, "check every part of a deployment, and say what to do")
    command.add_argument("--json", action="store_true", help="print JSON")


def _trace(arguments: argparse.Namespace) -> None:
    from octospoon.cli.commands.trace import show
    from octospoon.cli.deployment import find_deployment

    show(find_deployment(arguments.stack), arguments.key, as_json=arguments.json)


def _doctor(arguments: argparse.Namespace) -> None:
    from octospoon.cli.doctor import doctor

    doctor.show(doctor.of_stack(arguments.stack), as_json=arguments.json)
