"""octospoon predictions export: write the stored prediction of every image to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.commands.labels.export import summary
from octospoon.cli.output import print_json, print_lines

app = typer.Typer()

EXAMPLES = examples(
    "octospoon predictions export predictions.csv", "octospoon predictions export predictions.parquet"
)


@app.command("export", cls=Command, epilog=EXAMPLES)
def export(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="A new file that ends with .csv or .parquet.")],
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Write the stored prediction of every image of the pool to a file.

    Use it to sort or filter all your images by what the model sees. Each row has the class, its probability,
    the model version and the label if there is one. Parquet needs the extra `parquet`.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import export_predictions

    done = export_predictions.predictions(find_deployment(stack), to)
    if as_json:
        print_json(done)
    else:
        print_lines(summary(done, "predictions"))
