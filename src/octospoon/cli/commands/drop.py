"""octospoon drop: upload pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line, print_lines
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from octospoon.cli.operations.upload import Dropped

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon drop photos/", "octospoon drop photos/ extra.jpg --prefix trip-7/"),
)
def drop(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR|FILE", help="Folders and picture files.")],
    prefix: Annotated[
        str, typer.Option(help="Put this before every object key, such as trip-7/.", show_default=False)
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace pictures of the same name, and reset their labels.")
    ] = False,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Upload pictures into the images bucket.

    Use it to add images to the pool. Every uploaded picture is scored within seconds, and `octospoon status`
    shows what became of it. Files that are no pictures are skipped and counted by reason.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import upload

    done = upload.drop(find_deployment(stack), paths, prefix, replace=replace)
    if as_json:
        print_json(_document(done))
    else:
        print_lines(summary(done))
    if not done.uploaded and not done.replaced:
        raise BadRequest("nothing was uploaded")
    if not as_json:
        print_line("`octospoon status` shows whether they are scored")


def summary(done: Dropped) -> list[str]:
    """Return what became of the files, one line for each kind."""
    counts = Counter({"uploaded": done.uploaded, "replaced": done.replaced})
    lines = [f"{count:,} pictures {what}" for what, count in counts.items() if count or what == "uploaded"]
    return lines + done.skipped.lines()


def _document(done: Dropped) -> dict[str, object]:
    skipped = [
        {"reason": reason, "count": count, "examples": done.skipped.examples[reason]}
        for reason, count in done.skipped.counts.items()
    ]
    return {"uploaded": done.uploaded, "replaced": done.replaced, "skipped": skipped}
