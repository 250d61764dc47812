"""octospoon simulate: compare labelling strategies on images with known labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands import onnx_options as onnx
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.datasets.labelled import Source
    from octospoon.cli.operations.simulation_report import Wanted

app = typer.Typer()
Folder = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="Folder with one folder of images per class.")
]
Digits = Annotated[bool, typer.Option("--digits", help="Use scikit-learn's digits instead of a folder.")]
Model = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="ONNX file that embeds the images (default: scattering)."),
]
Strategies = Annotated[str, typer.Option(help="Names of strategies, separated by commas.")]
Seeds = Annotated[int, typer.Option(help="Number of repetitions.")]
Labels = Annotated[int, typer.Option(help="Number of labels at the end.")]
Batch = Annotated[int, typer.Option(help="Images per round.")]
AuditShare = Annotated[float, typer.Option(help="Share of each batch that is drawn at random.")]
Workers = Annotated[
    int, typer.Option(help="Number of processes (default: one per core).", show_default=False)
]
Out = Annotated[Path, typer.Option(help="Folder of the report.")]


EXAMPLES = examples(
    "octospoon simulate --digits --seeds 5",
    "octospoon simulate photos-by-class/ --strategies margin_diverse --labels 100",
)


@app.command(cls=Command, epilog=EXAMPLES)
def simulate(
    folder: Folder = None,
    digits: Digits = False,
    model: Model = None,
    strategies: Strategies = "margin_diverse,margin",
    seeds: Seeds = 20,
    labels: Labels = 200,
    batch: Batch = 20,
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

    Use it to see how many labels active learning saves on your images. It prints a table, and writes figures
    and a plot into a folder. Without a folder of images it takes the labelled images of the stack.
    """
    from octospoon.cli.extras import require

    require("simulate", "octospoon simulate")
    described = onnx.OnnxOptions(size, resize, white, mean, std, channels, layout, output, pool)
    images = _Images(folder, digits, model, described, stack)
    plan = _Plan(strategies, seeds, labels, batch, audit_share, workers, out)
    _run(images, plan, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Images:
    """The options that say which images are labelled."""

    folder: Path | None
    digits: bool
    model: Path | None
    onnx: onnx.OnnxOptions
    stack: str | None

    def check(self) -> None:
        if self.digits and self.folder:
            raise BadRequest("--digits and a folder do not go together")

    def source(self, check: Callable[[int], None]) -> Source:
        """Return the images with their labels; `check` is called with the size of the pool before that."""
        from octospoon.cli.datasets import labelled
        from octospoon.cli.deployment import find_deployment
        from octospoon.training.model.check_import import Options
        from octospoon.training.model.wrap_onnx import Pixels

        options = self.onnx.read()
        if self.model is None and options != Options(Pixels()):
            raise BadRequest("the options of an ONNX file go with --model: name the file")
        of_project = not self.digits and not self.folder
        if of_project and self.model is not None:
            raise BadRequest("a project's labels are simulated on its stored embeddings: leave out --model")
        model = None if self.model is None else labelled.model_of(self.model, options)
        if self.digits:
            return labelled.of_digits(model, check)
        if self.folder:
            return labelled.of_folder(self.folder, model, check)
        return labelled.of_project(find_deployment(self.stack))


@dataclass(frozen=True, slots=True)
class _Plan:
    """The options that say what is simulated."""

    strategies: str
    seeds: int
    labels: int
    batch: int
    audit_share: float
    workers: int
    out: Path

    def wanted(self) -> Wanted:
        """Return what to simulate; raises BadRequest, before any image is read, if it is not possible."""
        from octospoon.cli.operations.simulate import check_options
        from octospoon.cli.operations.simulation_report import Wanted
        from octospoon.domain.batch.compose import BatchRules
        from octospoon.runtime.processors import cores
        from octospoon.runtime.settings import listed
        from octospoon.training.simulation import Plan

        if self.batch < 1 or not 0 <= self.audit_share < 1:
            raise BadRequest(
                "--batch takes at least 1, --audit-share something from 0 up to, not including, 1"
            )
        if self.labels < self.batch:
            raise BadRequest(f"--labels is {self.labels}: it must be at least --batch, {self.batch}")
        if self.workers < 0:
            raise BadRequest("--workers is a number of processes; 0 for one per core")
        plan = Plan.through([self.labels], BatchRules(self.batch, self.audit_share))
        wanted = Wanted(listed(self.strategies), self.seeds, plan, self.workers or cores(), self.out)
        check_options(wanted)
        return wanted


def _run(images: _Images, plan: _Plan, *, as_json: bool) -> None:
    from rich.console import Console

    from octospoon.cli.operations.simulate import check_pool
    from octospoon.cli.operations.simulate import simulate as operation

    images.check()
    wanted = plan.wanted()
    source = images.source(lambda pool: check_pool(wanted, pool))
    operation(source, wanted, Console(), as_json=as_json)
