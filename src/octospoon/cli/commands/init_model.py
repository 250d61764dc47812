"""octospoon init-model: give a new deployment its first model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octospoon.cli.commands.definition import SETUP, AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line

app = typer.Typer()


@app.command(
    "init-model",
    cls=Command,
    rich_help_panel=SETUP,
    epilog=examples("octospoon init-model --stack prod", "octospoon init-model --file int8.onnx"),
)
def init_model(
    file: Annotated[Path | None, typer.Option(help="A model file instead of the starter.")] = None,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Give a new deployment its first model.

    Use it once, after the first deployment to AWS; `octospoon up` does it by itself. The model embeds images
    and has no classes yet. A model that is in service already stays.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.extras import require

    require("models", "octospoon init-model")
    from octospoon.cli.operations.first_model import init_model as operation

    pointer = operation(find_deployment(stack), file)
    if as_json:
        print_json({"model_version": pointer.version})
    else:
        print_line(f"champion: version {pointer.version}")
