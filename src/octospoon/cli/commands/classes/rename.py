"""octospoon classes rename: another name for a class."""

from __future__ import annotations

from typing import Annotated

import typer

from octospoon.cli.commands.classes.report_change import make_change, names
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.domain.errors import BadRequest

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon classes rename dog hound"))
def rename(
    old: Annotated[str, typer.Argument(help="The class.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Give a class another name. Its labels and its model stay.

    Use it when annotators misread the name. Answers from before show the new name too. No other class can
    take the earlier name.
    """
    (before, *more), (after, *further) = names(old), names(new)
    if more or further:
        raise BadRequest("rename changes one class at a time: give one name and its new name")
    make_change(stack, lambda history, now: history.rename(before, after, now), as_json=as_json)
