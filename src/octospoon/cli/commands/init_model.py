"""octospoon init-model: give a new deployment its first model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_error_line, print_json, print_line
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.domain.model_spec import ChampionPointer

app = typer.Typer()


@app.command(
    "init-model",
    cls=Command,
    epilog=examples(
        "octospoon init-model --stack prod", "octospoon init-model --backbone efficientnet-lite0"
    ),
)
def init_model(
    backbone: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Name of the backbone, see `octospoon backbone list` (default: one for photos or boxes).",
            show_default=False,
        ),
    ] = "",
    file: Annotated[Path | None, typer.Option(help="A model file instead of a backbone with a name.")] = None,
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
    if backbone and file:
        raise BadRequest("--backbone and --file do not go together")
    pointer = _begin(find_deployment(stack), backbone, file)
    if as_json:
        print_json({"model_version": pointer.version})
    else:
        print_line(f"champion: version {pointer.version}")


def _begin(deployment: Deployment, backbone: str, file: Path | None) -> ChampionPointer:
    from octospoon.cli.operations import first_model

    if file:
        return first_model.init_model(deployment, file)
    if backbone:
        return first_model.begin_with_backbone(deployment, _pulled(backbone))
    return first_model.begin_with(deployment, lambda: _first(deployment.task_type.name))


def _pulled(name: str) -> bytes:
    from octospoon.cli.operations.backbones import download_bar, pull

    with download_bar() as watch:
        return pull(name, print_error_line, watch).model


def _first(task_type: str) -> bytes:
    from octospoon.domain.task_types.names import TaskTypeName
    from octospoon.training.backbone.catalogue import BOXES, PHOTOS

    if task_type == TaskTypeName.DETECTION:
        return _pulled(BOXES)
    try:
        return _pulled(PHOTOS)
    except (NotConfigured, ServiceUnavailable) as error:
        advice = (
            "`octospoon init-model --backbone scattering` begins with the backbone that needs no download"
        )
        raise type(error)(f"{error}; {advice}") from error
