"""octospoon down: stop the local stack and keep what it held; with --forget, remove that for good."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.stack import down, kept
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.record import DETACHED, only_one
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable


def stop(progress: Callable[[str], None], *, forget: bool, yes: bool) -> None:
    """Stop the local stack of this checkout.

    Args:
        progress: is told how it goes.
        forget: also remove what this stack and earlier ones held, and the remembered settings.
        yes: do not ask first.

    Raises:
        BadRequest: nobody is there to be asked, or whoever is says no.
    """
    layout = Layout(Path.cwd().resolve())
    if yes and not forget:
        raise BadRequest("--yes goes with --forget: without it nothing is removed")
    if forget and not yes:
        _ask(layout, progress)
    with only_one(layout, "command", lambda: progress("waiting for another `octospoon up` or `down`")):
        down(layout.root, progress=progress)
        if forget:
            _forget(layout, progress)


def _ask(layout: Layout, progress: Callable[[str], None]) -> None:
    if not sys.stdin.isatty():
        raise BadRequest(
            "--forget removes labels, pictures and models for good: add --yes where nobody can be asked"
        )
    for folder in kept.folders(layout):
        progress(f"kept: {kept.told(layout, folder)}")
    question = "Stop the local stack, and remove for good what it and all earlier ones held? [y/N] "
    try:
        answer = input(question)
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise BadRequest("nothing was stopped and nothing was removed")


def _forget(layout: Layout, progress: Callable[[str], None]) -> None:
    count = len(kept.folders(layout))
    kept.forget(layout)
    shutil.rmtree(layout.logs / DETACHED, ignore_errors=True)
    layout.settings.unlink(missing_ok=True)
    progress(
        f"removed what {count} stacks held, and the remembered settings" if count else "nothing was kept"
    )
