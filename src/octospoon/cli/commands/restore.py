"""octospoon restore: read a backup of a local stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octospoon.cli.commands.definition import Command, examples
from octospoon.cli.output import print_lines, timed_progress

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon restore monday.tar"))
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written by `octospoon backup`.")],
) -> None:
    """Read a backup of a local stack into this checkout.

    Use it on a new machine, or after data were lost. The checkout must have no stack with data of its own:
    nothing is replaced. Afterwards `octospoon up` goes on with the data of the backup.
    """
    from octospoon.cli.operations.backup import restore_local

    manifest = restore_local(file, timed_progress())
    details = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in manifest.details.items())
    print_lines([f"restored {details}: `octospoon up` goes on with them"])
