"""octospoon backbone: the commands that list and download backbones."""

from __future__ import annotations

import typer

from octospoon.cli.commands.backbone import list_backbones, pull, use
from octospoon.cli.commands.definition import Group, examples

app = typer.Typer()
group = typer.Typer(cls=Group, no_args_is_help=True)
for command in (list_backbones, pull, use):
    group.add_typer(command.app)
app.add_typer(
    group,
    name="backbone",
    help="List, download or change the backbones that embed images.",
    epilog=examples("octospoon backbone list", "octospoon backbone use efficientnet-lite0"),
)
