"""octospoon picture: what a model sees of image files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octospoon.cli.commands.definition import Command, examples
from octospoon.cli.commands.onnx_options import ResizeRule
from octospoon.domain.errors import BadRequest

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon picture cat.jpg", "octospoon picture photos/*.jpg --to decoded/"),
)
def picture(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Image files.")],
    height: Annotated[int, typer.Option(help="Height in pixels.")] = 224,
    width: Annotated[int, typer.Option(help="Width in pixels.")] = 224,
    resize: Annotated[ResizeRule, typer.Option(help="How an image of another shape fits.")] = "squash",
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the decoded pixels there, as NAME.png.")
    ] = None,
) -> None:
    """Show what a model sees of image files, or why it cannot.

    Use it when an image is in quarantine, or before you upload many. It prints one line of JSON for each
    file, and needs no stack.
    """
    from octospoon.cli.extras import require

    require("pictures", "octospoon picture")
    from octospoon.adapters.imaging.decode import Target
    from octospoon.cli.operations.picture import check

    if not check(files, Target(height, width, resize), to):
        raise BadRequest("not every file is an image that can be scored; the lines above say why")
