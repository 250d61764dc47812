"""octospoon classes retire: a class is no longer used."""

from __future__ import annotations

from typing import Annotated

import typer

from octospoon.cli.commands.classes.report_change import make_change, names
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon classes retire blurred"))
def retire(
    classes: Annotated[str, typer.Argument(metavar="A,B,…", help="The classes to retire.")],
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Stop using classes. Their labels are kept, but no model is trained or measured on them.

    Use it for a class that nobody needs. Annotators can no longer choose them, and nothing is predicted
    as them. `octospoon classes add` brings a retired class back with its labels.
    """
    old = names(classes)
    make_change(stack, lambda history, now: history.retire(old, now), as_json=as_json)
