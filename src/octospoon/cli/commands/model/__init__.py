"""octospoon model: the commands that look after the model."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import Group, examples
from octospoon.cli.commands.model import import_model, optimize, rollback

app = typer.Typer()
group = typer.Typer(cls=Group, no_args_is_help=True)
for command in (optimize, import_model, rollback):
    group.add_typer(command.app)
app.add_typer(
    group,
    name="model",
    help="Optimise, import or roll back the model.",
    epilog=examples("octospoon model rollback"),
)
