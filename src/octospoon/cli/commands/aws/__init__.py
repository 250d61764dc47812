"""octospoon aws: the guided path to a stack on AWS."""

from __future__ import annotations

import typer

from octospoon.cli.commands.aws import deploy, destroy, image, init, status
from octospoon.cli.commands.definition import Group, examples

app = typer.Typer()
group = typer.Typer(cls=Group, no_args_is_help=True)
for command in (init, image, deploy, status, destroy):
    group.add_typer(command.app)
app.add_typer(
    group,
    name="aws",
    help="Set up, deploy, show or remove a stack on AWS.",
    epilog=examples("octospoon aws init", "octospoon aws deploy", "octospoon aws status"),
)
