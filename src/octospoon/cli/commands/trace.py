"""octospoon trace: the whole story of one image, from its upload to the training runs that used it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.output import line_table, print_json, print_line, print_line_table
from octospoon.domain.trace.timeline import timeline

if TYPE_CHECKING:
    from rich.table import Table

    from octospoon.domain.trace import Trace

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon trace trip-7/IMG_0042.jpg"))
def trace(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Object key in the images bucket.")],
    stack: Stack = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; times are in epoch seconds.")
    ] = False,
) -> None:
    """Show the whole story of one image.

    Use it to see why an image was chosen, is not labelled or is in quarantine. It lists uploads, scores, the
    choice for a batch, answers and the training jobs that used the image, each with its time.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import trace as operation

    show(operation.trace(find_deployment(stack), key), as_json=as_json)


def show(image: Trace, *, as_json: bool) -> None:
    """Print the story of one image, as a table or as JSON."""
    if as_json:
        print_json(image)
        return
    print_line(f"{image.key}: {image.state}")
    print_line_table(_table(image))
    for note in image.notes:
        print_line(note)
    print_line(f"in the logs: {image.image}, as in `octospoon logs score --search '\"{image.image}\"'`")


def _table(image: Trace) -> Table:
    from rich.markup import escape

    table = line_table("when (UTC)", "what", "particulars")
    for event in timeline(image):
        table.add_row(_when(event.at), event.what, escape(event.particulars))
    return table


def _when(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
