"""octospoon classes merge: several classes become one."""

from __future__ import annotations

from typing import Annotated

import typer

from octospoon.cli.commands.classes.report_change import make_change, names
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.domain.errors import BadRequest

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples(
        "octospoon classes merge kitten --into cat", "octospoon classes merge cat,dog --into pet --stack prod"
    ),
)
def merge(
    classes: Annotated[str, typer.Argument(metavar="A,B,…", help="The classes to merge.")],
    into: Annotated[str, typer.Option(metavar="NAME", help="One of the project's classes, or a new name.")],
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Make one class of several. Their labels count for it from now on.

    Use it when annotators cannot tell classes apart. The class that each image was given stays stored, so
    `octospoon classes undo` brings it back. The next annotation, or the next run of `reconcile`, starts a
    training job.
    """
    parts, (target, *more) = names(classes), names(into)
    if more:
        raise BadRequest(f"--into {into}: give one name")
    make_change(stack, lambda history, now: history.merge(parts, target, now), as_json=as_json)
