"""octospoon down: stop the local stack and keep its data, or remove the data for good."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import Command, examples
from octospoon.cli.output import timed_progress
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.stack.layout import Layout

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon down", "octospoon down --forget --yes"))
def down(
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove the data and the settings, for good. Asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --forget: do not ask.")] = False,
) -> None:
    """Stop the local stack and keep its data.

    Use it when you are done for now. The next `octospoon up` goes on with the same addresses, accounts,
    images, labels and models. With --forget it also removes all of that, for good.
    """
    from pathlib import Path

    from octospoon.cli.stack import down as stop
    from octospoon.cli.stack.layout import Layout
    from octospoon.cli.stack.record import only_one

    progress, layout = timed_progress(), Layout(Path.cwd().resolve())
    if yes and not forget:
        raise BadRequest("--yes goes with --forget: without it nothing is removed")
    if forget and not yes:
        _ask(layout, progress)
    with only_one(layout, "command", lambda: progress("waiting for another `octospoon up` or `down`")):
        stop(layout.root, progress=progress)
        if forget:
            _forget(layout, progress)


def _ask(layout: Layout, progress: Callable[[str], None]) -> None:
    """Raise BadRequest unless the user agrees to remove everything."""
    from octospoon.cli.stack import kept

    if not sys.stdin.isatty():
        raise BadRequest(
            "--forget removes labels, images and models for good: add --yes if nobody can be asked"
        )
    for folder in kept.all_data(layout):
        progress(f"kept: {kept.description(layout, folder)}")
    question = "Stop the local stack, and remove its data, the kept data and the settings for good? [y/N] "
    try:
        answer = input(question)
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise BadRequest("nothing was stopped and nothing was removed")


def _forget(layout: Layout, progress: Callable[[str], None]) -> None:
    import shutil

    from octospoon.cli.stack import kept
    from octospoon.cli.stack.record import DETACHED

    count = len(kept.all_data(layout))
    kept.forget(layout)
    shutil.rmtree(layout.logs / DETACHED, ignore_errors=True)
    for remembered in (layout.settings, layout.ports):
        remembered.unlink(missing_ok=True)
    stacks = "1 stack" if count == 1 else f"{count} stacks"
    progress(f"removed the data of {stacks}, and the settings" if count else "there were no data")
