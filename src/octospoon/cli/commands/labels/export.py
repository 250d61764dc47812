"""octospoon labels export: write every label to a file, with how its image was chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from octospoon.cli.operations.exports import Exported

app = typer.Typer()

EXAMPLES = examples(
    "octospoon labels export labels.csv",
    "octospoon labels export annotations.json --format coco",
    "octospoon labels export images --format yolo",
)


@app.command("export", cls=Command, epilog=EXAMPLES)
def export(
    to: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="A new file, or a folder for images.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="csv, manifest, coco, label-studio, folders or yolo (default: by the name of the file).",
            show_default=False,
        ),
    ] = "",
    label_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Labelling interface of another Label Studio project that takes the labels."
        ),
    ] = None,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Write every label to a file, with how its image was chosen.

    Use it to train elsewhere, or to keep a copy. Each row has the label, its source, the share of the batch,
    strategy, round and number of annotators. The formats folders and yolo also download the images.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import exports

    done = exports.labels(find_deployment(stack), to, form, label_config)
    if as_json:
        print_json(done)
    else:
        print_lines(summary(done, "labels"))


def summary(done: Exported, what: str) -> list[str]:
    """Return the outcome of an export, one line for each kind."""
    lines = [f"{done.rows:,} {what} written to {done.file}"]
    return lines + [f"{count:,} images left out: {reason}" for reason, count in done.left_out.items()]
