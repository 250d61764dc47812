"""octospoon predict: ask the model in service about images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_tables
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from octospoon.cli.operations.predict import Answer

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon predict cat.jpg", "octospoon predict photos/*.jpg --add --json"),
)
def predict(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Image files.")],
    add: Annotated[bool, typer.Option("--add", help="Also add the images to the pool.")] = False,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Ask the model in service about images.

    Use it to see at once what the model says of a few images. It prints the most probable class of each, or
    all likely ones, the model's certainty, and its version. The images join the pool only with --add.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.predict import predict as ask

    answers = ask(find_deployment(stack), files, add=add)
    if as_json:
        print_json(answers)
    else:
        print_tables(table(answers))
    if failed := sum(bool(answer.error) for answer in answers):
        raise BadRequest(f"{failed} of {len(answers)} images have no prediction")


def table(answers: Sequence[Answer]) -> Table:
    """Return the answers as a table: file, label or what is wrong, confidence, model version."""
    from rich.markup import escape
    from rich.table import Table

    from octospoon.cli.operations.predict import SeveralClasses
    from octospoon.domain.task_types.multilabel.label import NONE

    shown = Table("file", "label", "confidence", "model version")
    for answer in answers:
        name = escape(str(answer.file))
        if answer.error:
            shown.add_row(name, escape(answer.error), "", "")
        else:
            label = ", ".join(answer.labels) or NONE if isinstance(answer, SeveralClasses) else answer.label
            shown.add_row(name, escape(label), f"{answer.confidence:.1%}", str(answer.model_version))
    return shown
