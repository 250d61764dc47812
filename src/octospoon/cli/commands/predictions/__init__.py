"""octospoon predictions: the stored predictions of the pool."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import Group, examples
from octospoon.cli.commands.predictions import export

app = typer.Typer()
group = typer.Typer(cls=Group, no_args_is_help=True)
group.add_typer(export.app)
app.add_typer(
    group,
    name="predictions",
    help="Export the predictions of all images.",
    epilog=examples("octospoon predictions export predictions.csv"),
)
