"""octospoon simulate: compare labelling strategies on images with known labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands import onnx_options as onnx
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.domain.errors import BadRequest
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.datasets.labelled import Embedder, Source
    from octospoon.cli.operations.simulation_result import Simulation

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
Strategies = Annotated[str, typer.Option(help="Names of strategies, separated by commas.")]
Seeds = Annotated[int, typer.Option(help="Number of repetitions.")]
Labels = Annotated[
    str,
    typer.Option(
        metavar="COUNTS", help="Numbers of labels to measure at, such as 50,100,200; the last ends it."
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
    "octospoon simulate photos-by-class/ --backbones scattering,efficientnet-lite0 --labels 100",
)


@app.command(cls=Command, epilog=EXAMPLES)
def simulate(
    folder: Folder = None,
    classes_file: ClassesFile = None,
    digits: Digits = False,
    model: Model = None,
    backbones: Backbones = "",
    strategies: Strategies = "margin_diverse,margin",
    seeds: Seeds = 20,
    labels: Labels = "50,100,200",
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
    takes the labelled images of the stack.
    """
    from octospoon.cli.extras import require

    require("simulate", "octospoon simulate")
    described = onnx.OnnxOptions(size, resize, white, mean, std, channels, layout, output, pool)
    images = _Images(folder, classes_file, digits, model, listed(backbones), described, stack)
    plan = _Plan(strategies, seeds, labels, batch, target, audit_share, workers, out)
    _run(images, plan, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Images:
    """The options that say which images are labelled."""

    folder: Path | None
    classes_file: Path | None
    digits: bool
    model: Path | None
    backbones: tuple[str, ...]
    onnx: onnx.OnnxOptions
    stack: str | None

    def check(self) -> None:
        if self.digits and self.folder:
            raise BadRequest("--digits and a folder do not go together")
        if self.classes_file and not self.folder:
            raise BadRequest("--classes-file says which classes the images of a folder have: name the folder")

    def sources(self, check: Callable[[int], None]) -> list[Source]:
        """Return the images for each backbone; `check` is called with the size of the pool before that."""
        from octospoon.cli.datasets import labelled, several_classes
        from octospoon.cli.deployment import find_deployment
        from octospoon.training.model.check_import import Options
        from octospoon.training.model.wrap_onnx import Pixels

        options = self.onnx.read()
        if self.model is None and options != Options(Pixels()):
            raise BadRequest("the options of an ONNX file go with --model: name the file")
        if self.model is not None and self.backbones:
            raise BadRequest("--model and --backbones do not go together")
        if not self.digits and not self.folder:
            if self.model is not None or self.backbones:
                raise BadRequest(
                    "a project's labels are simulated on its stored embeddings: leave out --model and "
                    "--backbones"
                )
            return [labelled.of_project(find_deployment(self.stack))]
        if self.model is not None:
            embedders = [labelled.Embedder(self.model.name, labelled.model_of(self.model, options))]
        else:
            embedders = self._embedders()
        if self.folder and self.classes_file:
            files = self.folder, self.classes_file
            return [several_classes.of_label_file(*files, embedder, check) for embedder in embedders]
        if self.folder:
            return [labelled.of_folder(self.folder, embedder, check) for embedder in embedders]
        return [labelled.of_digits(embedder, check) for embedder in embedders]

    def _embedders(self) -> list[Embedder]:
        """Return the backbones that were named, downloaded if need be; else those that need no download."""
        from octospoon.cli.datasets.labelled import Embedder
        from octospoon.cli.operations import backbones
        from octospoon.cli.output import print_error_line
        from octospoon.domain.task_types.classification import CLASSIFICATION
        from octospoon.domain.task_types.multilabel import MULTILABEL
        from octospoon.training.backbone import catalogue

        names = self.backbones
        if not names:
            known = [catalogue.backbone_named(name) for name in (catalogue.PHOTOS, catalogue.SCATTERING)]
            names = tuple(each.name for each in known if backbones.is_pulled(each))
        for name in names:
            catalogue.backbone_named(name)
        with backbones.download_bar() as watch:
            task_type = MULTILABEL if self.classes_file else CLASSIFICATION
            models = [backbones.pull(name, print_error_line, watch).model for name in names]
            return [
                Embedder(name, backbones.suited(model, task_type))
                for name, model in zip(names, models, strict=True)
            ]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The options that say what is simulated."""

    strategies: str
    seeds: int
    labels: str
    batch: str
    target: float | None
    audit_share: float
    workers: int
    out: Path

    def simulation(self) -> Simulation:
        """Return what to simulate; raises BadRequest, before any image is read, if it is not possible."""
        from octospoon.cli.operations.simulate import check_options
        from octospoon.cli.operations.simulation_result import Simulation
        from octospoon.domain.batch.compose import BatchRules
        from octospoon.runtime.processors import cores
        from octospoon.training.simulation import Plan

        if not 0 <= self.audit_share < 1:
            raise BadRequest("--audit-share takes something from 0 up to, not including, 1")
        counts = sorted(set(_numbers("--labels", self.labels)))
        sizes = _numbers("--batch", self.batch) if self.batch else _default_sizes(counts[-1])
        if counts[-1] < max(sizes):
            raise BadRequest(f"--labels ends at {counts[-1]}: it must be at least --batch, {max(sizes)}")
        if self.workers < 0:
            raise BadRequest("--workers is a number of processes; 0 for one per core")
        simulation = Simulation(
            strategies=listed(self.strategies),
            seeds=self.seeds,
            plans=[Plan.through(counts, BatchRules(size, self.audit_share)) for size in dict.fromkeys(sizes)],
            workers=self.workers or cores(),
            folder=self.out,
            shown=counts if len(counts) > 1 else (),
            target=self.target,
        )
        check_options(simulation)
        return simulation


def _numbers(option: str, text: str) -> list[int]:
    """Return the numbers of an option; raises BadRequest if one is none, or is not positive."""
    numbers = [int(part) if part.isdecimal() else 0 for part in listed(text)]
    if not numbers or min(numbers) < 1:
        raise BadRequest(f"{option} is {text!r}: it takes numbers from 1 up, separated by commas")
    return numbers


def _default_sizes(labels: int) -> list[int]:
    return [size for size in (20, 10, 50) if size <= labels] or [labels]


def _run(images: _Images, plan: _Plan, *, as_json: bool) -> None:
    from rich.console import Console

    from octospoon.cli.operations.simulate import check_pool
    from octospoon.cli.operations.simulate import simulate as operation

    images.check()
    simulation = plan.simulation()
    sources = images.sources(lambda pool: check_pool(simulation, pool))
    operation(sources, simulation, Console(), as_json=as_json)
