"""octospoon labels: the commands that bring labels in and out."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import Group, examples
from octospoon.cli.commands.labels import audit, export, import_labels

app = typer.Typer()
group = typer.Typer(cls=Group, no_args_is_help=True)
for command in (import_labels, audit, export):
    group.add_typer(command.app)
app.add_typer(
    group,
    name="labels",
    help="Import labels that you have, and export all labels.",
    epilog=examples("octospoon labels import photos/", "octospoon labels audit --count 50"),
)
