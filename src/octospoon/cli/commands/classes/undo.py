"""octospoon classes undo: the newest change is undone."""

from __future__ import annotations

import typer

from octospoon.cli.commands.classes.report_change import make_change
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon classes undo", "octospoon classes undo --stack prod"))
def undo(stack: Stack = None, as_json: AsJson = False) -> None:
    """Undo the newest change of the classes that is in effect.

    Use it after a mistake. Every image has its earlier label again. Run it again to undo the change
    before. Labels of a class that only the undone change made are kept, but no longer count; `octospoon
    classes list` shows the changes.
    """
    make_change(stack, lambda history, now: history.undo(now), as_json=as_json)
