"""octospoon rescore: fresh scores for the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon rescore --days 7", "octospoon rescore --full"),
)
def rescore(
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Read the images again that another backbone or detector scored. Prints the cost.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --full: read these images.")] = False,
    days: Annotated[
        int,
        typer.Option(
            help="Only uploads of this many days, today included (default: all).", show_default=False
        ),
    ] = 0,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Score the pool again with the model in service.

    Use it after a roll-back, or when the pool's scores are of an older model. It computes new scores from
    the stored embeddings and reads no image. Boxes, and embeddings of another backbone, need the images: use
    --full, which first only prints what it costs. After a promotion, the newest images are read without it.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.extras import require

    if yes and not full:
        raise BadRequest("--yes goes with --full: re-scoring from embeddings reads no image")
    if days < 0 or (days and full):
        raise BadRequest("--days is a number of days, and does not go with --full")
    if full:
        require("models", "octospoon rescore --full")
        _read_again(find_deployment(stack), queue=yes, as_json=as_json)
    else:
        _from_embeddings(find_deployment(stack), days, as_json=as_json)


def _from_embeddings(deployment: Deployment, days: int, *, as_json: bool) -> None:
    from octospoon.cli.operations import rescore as operation

    version = operation.shards(deployment, days).version
    if as_json:
        print_json({"model_version": version, "days": days})
    else:
        print_line(f"version {version} scores the pool again; `octospoon status` shows the progress")


def _read_again(deployment: Deployment, *, queue: bool, as_json: bool) -> None:
    """Print what reading these images again costs, and queue them if asked to."""
    from octospoon.cli.operations import rescore as operation

    images = operation.stale_images(deployment)
    estimate = operation.estimate(deployment, images) if images else None
    if estimate is not None and not as_json:
        print_line(str(estimate))
    begins = queue and bool(images)
    version = operation.read_again(deployment).version if begins else None
    if as_json:
        cost = {"dollars": estimate.dollars()} if estimate else {}
        print_json({"estimate": estimate, **cost, "begun": begins})
    elif estimate is None:
        print_line("no image must be read: the model in service, or its backbone, scored all of them")
    elif begins:
        print_line(
            f"version {version} reads {len(images):,} images again, the newest first; `octospoon status` "
            "shows the progress"
        )
    else:
        print_line("no image is read: add --yes to score them")
