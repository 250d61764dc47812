"""octospoon model optimize: measure cheaper forms of the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line, print_tables
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from rich.table import Table

    from octospoon.training.model.optimize import Form, Forms

app = typer.Typer()


EXAMPLES = examples(
    "octospoon model optimize",
    "octospoon model optimize --file model.onnx --images photos/ --output forms/",
)


@app.command(cls=Command, epilog=EXAMPLES)
def optimize(
    file: Annotated[Path | None, typer.Option(help="A model file instead of the model in service.")] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --file: folder of images to measure on.")
    ] = None,
    sample: Annotated[int, typer.Option(help="Number of images to compare on.")] = 400,
    output: Annotated[
        Path, typer.Option(help="Folder for the forms that are worth it (default: here).", show_default=False)
    ] = Path(),
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Measure an int8 form of the model, and a graph that is optimised ahead of time.

    Use it before you begin a new deployment, to see whether a cheaper form is as good. It prints time, size
    and agreement of each form, and writes the forms that are worth it.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.extras import require

    require("models", "octospoon model optimize")
    from octospoon.cli.operations import optimize as operation

    if file is not None and images is not None:
        forms = operation.of_file(file, images, sample)
    elif file is None and images is None:
        forms = operation.of_deployment(find_deployment(stack), sample)
    else:
        raise BadRequest("--file and --images go together: a model file, and a folder to measure it on")
    if as_json:
        print_json(operation.document(forms, output))
    else:
        _print(forms, output)


def _print(forms: Forms, folder: Path) -> None:
    from octospoon.cli.operations import optimize as operation

    print_tables(table(forms))
    for name, verdict, path in operation.keep(forms, folder):
        kept = f"written to {path}" if path else "not worth it"
        print_line(f"{name}: {kept}: {'; '.join(verdict.reasons)}")
    for name, reason in forms.failed.items():
        print_line(f"{name}: cannot be made: {reason}")
    print_line(
        "a new deployment begins with a form by `octospoon init-model --file`; one that has images changes "
        "to it by `octospoon backbone use FILE.onnx`"
    )


def table(forms: list[Form]) -> Table:
    """Return the figures as a table: a column for each form, a row for each figure that there is."""
    from rich.table import Table

    shown = Table(
        "", *(form.name for form in forms), title="CPU of one thread, medians", title_justify="left"
    )
    columns = [_figures(form) for form in forms]
    for figure in columns[-1]:
        shown.add_row(figure, *(column.get(figure, "") for column in columns))
    return shown


def _figures(form: Form) -> dict[str, str]:
    import numpy as np

    compared = form.comparison
    shown = {
        "file, MB": f"{len(form.model) / 1e6:.1f}",
        "an image, ms": f"{1e3 * np.median(form.answers.image):.2f}",
        "loading, ms": f"{1e3 * np.median(form.answers.load):.1f}",
    }
    if compared is None:
        return shown
    shown |= {
        "time an image, ratio": f"{compared.image_ratio:.2f}",
        "cosine, mean": f"{compared.cosine:.4f}",
        "cosine, 5 % are below": f"{compared.cosine_low:.4f}",
    }
    if compared.same_top is not None:
        shown["same class"] = f"{compared.same_top} of {compared.images}"
        shown["same class, 95 % interval"] = _interval(compared.same_top, compared.images)
        shown["largest gap of a probability"] = f"{compared.probability_gap:.3f}"
    if n := len(compared.right):
        shown["accuracy, audit labels"] = f"{compared.right.mean():.1%} of {n}"
        shown["accuracy, 95 % interval"] = _interval(int(compared.right.sum()), n)
        shown["accuracy of the original"] = f"{compared.original_right.mean():.1%}"
    return shown


def _interval(count: int, n: int) -> str:
    from octospoon.domain.evaluation import metrics

    interval = metrics.wilson(count, n)
    return f"{interval.low:.1%} to {interval.high:.1%}"
