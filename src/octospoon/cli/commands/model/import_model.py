"""octospoon model import: take an ONNX file from elsewhere into service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from octospoon.cli.commands import onnx_options as onnx
from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.output import print_lines
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from octospoon.training.model.check_import import Options

app = typer.Typer()
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="An ONNX file of octospoon, or any that takes an image.")
]
Classes = Annotated[
    str,
    typer.Option(
        help="Class names of a classifier or detector, separated by commas, in its own order.",
        show_default=False,
    ),
]
FirstLabel = Annotated[
    int | None,
    typer.Option(
        help="Number of a detector's first class in its list of labels, if not the exporter's usual one.",
        show_default=False,
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Of two boxes of a class that overlap by more (intersection over union), the better one is kept "
        "(default: 0.6). For a detector that does not do so itself.",
        show_default=False,
    ),
]
Activation = Annotated[
    Literal["softmax", "sigmoid"] | None,
    typer.Option(
        help="Of a classifier that gives logits: softmax for one class per image, sigmoid for several "
        "(default: softmax). Only with --to; a deployment knows it.",
        show_default=False,
    ),
]
NewBackbone = Annotated[
    bool,
    typer.Option(
        "--new-backbone",
        help="Serve a classifier or detector although the images must then be scored again.",
    ),
]
TriedImage = Annotated[
    Path | None, typer.Option(help="Image to try the model on (default: a generated image).")
]
To = Annotated[
    Path | None,
    typer.Option(metavar="OUT.onnx", help="Write the model there, and put nothing into service."),
]


EXAMPLES = examples(
    "octospoon model import resnet50.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
    "octospoon model import resnet50.onnx --to wrapped.onnx",
)


@app.command("import", cls=Command, epilog=EXAMPLES)
def import_model(
    file: File,
    classes: Classes = "",
    size: onnx.Size = "",
    resize: onnx.Resize = None,
    white: onnx.Range = "1",
    mean: onnx.Mean = "",
    std: onnx.Std = "",
    channels: onnx.Channels = "rgb",
    layout: onnx.Layout = None,
    output: onnx.Output = "",
    pool: onnx.Pool = None,
    first_label: FirstLabel = None,
    overlap: Overlap = None,
    activation: Activation = None,
    image: TriedImage = None,
    new_backbone: NewBackbone = False,
    to: To = None,
    stack: Stack = None,
) -> None:
    """Wrap an ONNX file from elsewhere, check it, and put it into service.

    Use it to begin with a backbone or classifier of your own. Where there are images already, `octospoon
    backbone use` changes the backbone. With --to it writes a file that `octospoon init-model --file` takes.
    A detector goes into service where the labels are boxes (TaskType=detection), with the same classes.
    """
    from octospoon.cli.deploy.class_names import checked_names
    from octospoon.cli.extras import require

    require("models", "octospoon model import")
    names = checked_names(classes, "--classes") if classes else ()
    options = onnx.OnnxOptions(size, resize, white, mean, std, channels, layout, output, pool).read(names)
    options = replace(options, first_label=first_label, overlap=overlap)
    if to is None:
        print_lines(_imported(file, options, image, activation, stack, new_backbone=new_backbone))
    else:
        print_lines(_written(file, options, image, activation, to, deployed=bool(stack) or new_backbone))


def _imported(
    file: Path,
    options: Options,
    image: Path | None,
    activation: str | None,
    stack: str | None,
    *,
    new_backbone: bool,
) -> list[str]:
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.import_model import import_model as operation

    if activation is not None:
        raise BadRequest("--activation goes with --to: a deployment knows its own")
    done = operation(find_deployment(stack), file, options, image, new_backbone=new_backbone)
    return [*done.model.recognised, done.summary()]


def _written(
    file: Path, options: Options, image: Path | None, activation: str | None, to: Path, *, deployed: bool
) -> list[str]:
    from octospoon.cli.operations.import_model import write_model

    if deployed:
        raise BadRequest("--to writes a file and asks no deployment: leave out --stack and --new-backbone")
    return write_model(file, to, options, image, activation)
