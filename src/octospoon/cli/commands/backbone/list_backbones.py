"""octospoon backbone list: the backbones that have a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from octospoon.cli.commands.definition import AsJson, Command, examples
from octospoon.cli.output import line_table, print_json, print_line, print_line_table

if TYPE_CHECKING:
    from octospoon.cli.operations.backbones import Pulled
    from octospoon.training.backbone.catalogue import Backbone

app = typer.Typer()


@app.command(
    "list", cls=Command, epilog=examples("octospoon backbone list", "octospoon backbone list --json")
)
def list_backbones(as_json: AsJson = False) -> None:
    """List the backbones, with what they cost.

    Use it to choose a backbone before the first image comes. It needs no deployment and no network. The
    time of an image is measured now, on one thread, for the backbones that are on this machine.
    """
    from octospoon.cli.extras import require

    require("models", "octospoon backbone")
    from octospoon.cli.operations.backbones import cache_folder, listed
    from octospoon.training.backbone import catalogue

    rows = [(backbone, listed(backbone)) for backbone in catalogue.BACKBONES]
    if as_json:
        print_json([_document(*row) for row in rows])
        return
    table = line_table(
        "name", "for", "input", "bytes in the pool", "MB", "licence", "ms an image", "on this machine"
    )
    for backbone, pulled in rows:
        table.add_row(*_cells(backbone, pulled))
    print_line_table(table)
    print_line(f"`octospoon up` begins with {catalogue.PHOTOS}; downloads are kept in {cache_folder()}")


def _cells(backbone: Backbone, pulled: Pulled | None) -> list[str]:
    wheel = backbone.weights.wheel_bytes if backbone.weights else 0
    return [
        backbone.name,
        backbone.purpose,
        f"{backbone.size}×{backbone.size}",
        f"{2 * backbone.dim:,}",
        f"{backbone.model_bytes / 1e6:.1f}",
        backbone.licence,
        f"{1e3 * pulled.seconds:.1f}" if pulled else "",
        "yes" if pulled else f"no, {wheel / 1e6:.1f} MB to download",
    ]


def _document(backbone: Backbone, pulled: Pulled | None) -> dict[str, Any]:
    return {
        "name": backbone.name,
        "purpose": backbone.purpose,
        "input": backbone.size,
        "embedding": backbone.dim,
        "embedding_bytes": 2 * backbone.dim,
        "model_bytes": backbone.model_bytes,
        "licence": backbone.licence,
        "download_bytes": backbone.weights.wheel_bytes if backbone.weights else 0,
        "pulled": pulled is not None,
        "seconds_per_image": pulled.seconds if pulled else None,
    }
