"""octospoon simulate: compare labelling strategies on images with known labels."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from octospoon.cli.commands import onnx_options as onnx
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.commands.simulation_options import Images, Plan
from octospoon.runtime.settings import listed

app = typer.Typer()
Folder = Annotated[
    Path | None,
    typer.Argument(metavar="DIR", help="Folder of images, a folder for each class, or see --classes-file."),
]
ClassesFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Labels of the images in DIR, which may have several classes each: a row for each class.",
        show_default=False,
    ),
]
BoxesFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Boxes of the images in DIR: COCO, Pascal VOC, YOLO, CSV or Label Studio's JSON (default: DIR "
        "itself, if it is laid out as YOLO's or Pascal VOC's sets are).",
        show_default=False,
    ),
]
Digits = Annotated[bool, typer.Option("--digits", help="Use scikit-learn's digits instead of a folder.")]
Model = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="ONNX file that embeds the images (default: scattering)."),
]
Backbones = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Backbones to compare, separated by commas; the first stays unless another is shown better "
        "(default: those of `octospoon up` that are on this machine).",
        show_default=False,
    ),
]
Strategies = Annotated[
    str,
    typer.Option(
        help="Names of strategies, separated by commas (default: margin_diverse,margin; with boxes "
        "sum,largest,mean).",
        show_default=False,
    ),
]
Seeds = Annotated[
    int | None, typer.Option(help="Number of repetitions (default: 20; with boxes 5).", show_default=False)
]
Labels = Annotated[
    str,
    typer.Option(
        metavar="COUNTS",
        help="Numbers of labels to measure at; the last ends it (default: 50,100,200; with boxes 20,40,80).",
        show_default=False,
    ),
]
Batch = Annotated[
    str,
    typer.Option(
        metavar="SIZES",
        help="Images per round; sizes after a comma are compared with the first (default: 20,10,50).",
        show_default=False,
    ),
]
Target = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Accuracy to reach, such as 0.9.", show_default=False),
]
AuditShare = Annotated[float, typer.Option(help="Share of each batch that is drawn at random.")]
Workers = Annotated[
    int, typer.Option(help="Number of processes (default: one per core).", show_default=False)
]
Out = Annotated[Path, typer.Option(help="Folder of the report.")]


EXAMPLES = examples(
    "octospoon simulate --digits --seeds 5",
    "octospoon simulate photos-by-class/ --target 0.9",
    "octospoon simulate photos/ --boxes-file annotations.json --seeds 3",
)


@app.command(cls=Command, epilog=EXAMPLES)
def simulate(
    folder: Folder = None,
    classes_file: ClassesFile = None,
    boxes_file: BoxesFile = None,
    digits: Digits = False,
    model: Model = None,
    backbones: Backbones = "",
    strategies: Strategies = "",
    seeds: Seeds = None,
    labels: Labels = "",
    batch: Batch = "",
    target: Target = None,
    audit_share: AuditShare = 0.2,
    workers: Workers = 0,
    out: Out = Path(".octospoon/simulation"),
    size: onnx.Size = "",
    resize: onnx.Resize = None,
    white: onnx.Range = "1",
    mean: onnx.Mean = "",
    std: onnx.Std = "",
    channels: onnx.Channels = "rgb",
    layout: onnx.Layout = None,
    output: onnx.Output = "",
    pool: onnx.Pool = None,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Compare labelling strategies with random choice, on images whose labels are known.

    Use it to see how many labels active learning saves on your images. It recommends a backbone, a strategy
    and a batch size, or to label at random, and writes a page with the figures. Without a folder of images it
    takes the labelled images of the stack. Boxes need PyTorch, because each round trains a detector.
    """
    described = onnx.OnnxOptions(size, resize, white, mean, std, channels, layout, output, pool)
    images = Images(folder, classes_file, boxes_file, digits, model, listed(backbones), described, stack)
    plan = Plan(listed(strategies), seeds, labels, batch, target, audit_share, workers, out)
    _run(images, plan, as_json=as_json)


def _run(images: Images, plan: Plan, *, as_json: bool) -> None:
    from octospoon.cli.extras import require

    require("simulate", "octospoon simulate")
    images.check()
    if images.boxed:
        _run_boxes(images, plan, as_json=as_json)
    else:
        _run_classes(images, plan, as_json=as_json)


def _run_classes(images: Images, plan: Plan, *, as_json: bool) -> None:
    from rich.console import Console

    from octospoon.cli.operations.simulate import check_pool
    from octospoon.cli.operations.simulate import simulate as operation

    simulation = plan.simulation()
    sources = images.sources(lambda pool: check_pool(simulation, pool))
    operation(sources, simulation, Console(), as_json=as_json)


def _run_boxes(images: Images, plan: Plan, *, as_json: bool) -> None:
    """Simulate with a detector, in the Python that has PyTorch."""
    from octospoon.cli.operations.trainer_environment import trainer_python

    python = trainer_python(fine_tunes=True)
    if python != sys.executable:
        start = "import sys; from octospoon.cli.main import main; sys.exit(main(sys.argv[1:]))"
        os.execv(python, [python, "-c", start, *sys.argv[1:]])  # noqa: S606 - arguments of this command
    from rich.console import Console

    from octospoon.cli.operations import simulate_boxes

    simulation = plan.box_simulation()
    simulate_boxes.check_options(simulation)
    files = images.files()
    simulate_boxes.check_pool(simulation, len(files.files))
    simulate_boxes.simulate(files, images.detected(), simulation, Console(), as_json=as_json)
