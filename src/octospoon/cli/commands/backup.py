"""octospoon backup: everything that a deployment holds, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_lines, timed_progress

app = typer.Typer()


@app.command(
    cls=Command, epilog=examples("octospoon backup monday.tar", "octospoon backup prod.tar --stack prod")
)
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file. Only you may read it.")],
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Write everything that a deployment holds into one file.

    Use it before you change a machine or a version. For the local stack, the file contains the images,
    labels, models, runs, accounts and settings, and `octospoon restore` reads it. The stack may run
    meanwhile. For a stack on AWS, it contains the tables and the labels.
    """
    import os

    from octospoon.cli.operations.backup import back_up_aws, back_up_local

    name, progress = stack or os.environ.get("OCTOSPOON_STACK"), timed_progress()
    report = (lambda _: None) if as_json else progress
    manifest = back_up_aws(name, file, report) if name else back_up_local(file, report)
    if as_json:
        print_json({"file": str(file), "bytes": file.stat().st_size, **manifest.details})
        return
    details = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in manifest.details.items())
    print_lines([f"{file}: {file.stat().st_size / 1e6:,.1f} MB ({details})"])
