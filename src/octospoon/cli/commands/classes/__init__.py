"""octospoon classes: the commands that list and change the classes."""

from __future__ import annotations

import typer

from octospoon.cli.commands.classes import add, list_classes, merge, rename, retire, undo
from octospoon.cli.commands.definition import Group, examples

app = typer.Typer()
group = typer.Typer(cls=Group, no_args_is_help=True)
for command in (list_classes, add, rename, merge, retire, undo):
    group.add_typer(command.app)
app.add_typer(
    group,
    name="classes",
    help="List or change the classes while everything runs.",
    epilog=examples("octospoon classes list", "octospoon classes add owl"),
)
