"""octospoon model rollback: put an earlier version into service."""

from __future__ import annotations

from typing import Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line

app = typer.Typer()


@app.command(
    cls=Command, epilog=examples("octospoon model rollback", "octospoon model rollback --to 3 --stack prod")
)
def rollback(
    to: Annotated[
        int | None,
        typer.Option(metavar="VERSION", help="Version to serve (default: the version promoted before)."),
    ] = None,
    new_backbone: Annotated[
        bool,
        typer.Option(
            "--new-backbone",
            help="Also if the pool's images must then be read and scored again.",
        ),
    ] = False,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Put an earlier version of the model into service, now.

    Use it when the newest version does worse than the version before. `octospoon report` lists the versions.
    The alias in MLflow follows within 15 minutes.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.rollback import rollback as operation

    pointer = operation(find_deployment(stack), to, new_backbone=new_backbone)
    if as_json:
        print_json({"model_version": pointer.version})
        return
    print_line(f"version {pointer.version} is in service from the next image on")
    if new_backbone:
        print_line("the newest images are read again; `octospoon rescore --full` says what all others cost")
