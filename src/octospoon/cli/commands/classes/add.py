"""octospoon classes add: new classes at the end of the list."""

from __future__ import annotations

from typing import Annotated

import typer

from octospoon.cli.commands.classes.report_change import make_change, names
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon classes add owl", "octospoon classes add owl,fox"))
def add(
    classes: Annotated[str, typer.Argument(metavar="A,B,…", help="New or retired classes.")],
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Add classes, or bring retired classes back.

    Use it when images show something that no class fits. Annotators can choose the classes at once. A
    part of the next batches looks for images of a class that has few labels, and the next training job
    learns it. Answers that named the class before count after the next run of `reconcile`.
    """
    new = names(classes)
    make_change(stack, lambda history, now: history.add(new, now), as_json=as_json)
