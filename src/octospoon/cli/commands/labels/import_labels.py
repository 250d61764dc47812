"""octospoon labels import: start from labels that exist already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_lines
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from octospoon.cli.datasets.uploads import Skipped
    from octospoon.cli.operations.label_import import Imported

app = typer.Typer()

EXAMPLES = examples(
    "octospoon labels import photos/ --dry-run",
    "octospoon labels import labels.csv --images photos/",
    "octospoon labels import export.json --map Cat=cat",
)
Source = Annotated[
    Path,
    typer.Argument(
        metavar="FILE|DIR", help="A file or folder of labels, or a folder with folders of images."
    ),
]
Form = Annotated[
    str,
    typer.Option(
        "--format",
        help="folders, csv, coco, yolo, voc, label-studio or manifest (default: found out).",
        show_default=False,
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder that paths of images begin at (default: that of the source)."),
]
Prefix = Annotated[
    str, typer.Option(help="Put this before the object key of each image to upload.", show_default=False)
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="NAME=CLASS", help="A name in the source, and the class that it means."),
]
Column = Annotated[str, typer.Option(help="Column of a CSV file with the image.", show_default=False)]
ClassColumn = Annotated[str, typer.Option(help="Column of a CSV file with the class.", show_default=False)]
Control = Annotated[
    str, typer.Option(help="Control of a Label Studio export with the classes.", show_default=False)
]


LabelConfig = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Labelling interface of the Label Studio project of the export."),
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace labels of an earlier import that differ.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]


@app.command("import", cls=Command, epilog=EXAMPLES)
def import_labels(
    source: Source,
    form: Form = "",
    images: Images = None,
    prefix: Prefix = "",
    renamed: Map = None,
    image_column: Column = "",
    label_column: ClassColumn = "",
    control: Control = "",
    label_config: LabelConfig = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Import labels that exist already, and upload their images where that is needed.

    Use it to start from labels that you have. They train models, but never measure them: people's answers
    count more. An image is named by its path, its object key or its s3:// address. Running it twice changes
    nothing.
    """
    from octospoon.adapters.label_files.readers import Columns
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import label_import
    from octospoon.cli.operations.exports import other_project

    names, deployment = _pairs(renamed or []), find_deployment(stack)
    if label_config is not None:
        project = other_project(label_config, "octospoon labels import", deployment.task_type, control)
        control, names = project.control, project.classes | names
    columns = Columns(image_column, label_column, control)
    options = label_import.Options(form, images, prefix, columns, names, replace, dry_run)
    done = label_import.import_labels(deployment, source, options)
    if as_json:
        print_json(_document(done))
    else:
        print_lines(summary(done))
    if not done.outcomes:
        raise BadRequest("there is no label that could be imported")


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = dict(text.split("=", 1) for text in given if "=" in text)
    if len(pairs) < len(given):
        raise BadRequest("--map takes a name and a class, such as --map Cat=cat, and each name once")
    return pairs


def summary(done: Imported) -> list[str]:
    """Return the outcome of an import, one line for each kind."""
    lines = [f"{done.rows:,} rows read from {done.source} ({done.format})"]
    lines += [f"class {name}: {count:,} images" for name, count in done.classes.items()]
    lines += [
        f"class {name}: {count:,} {done.parts}, left out: the project has no such class (--map {name}=CLASS)"
        for name, count in done.unknown_classes.items()
    ]
    for outcome, count in sorted(done.outcomes.items(), key=lambda pair: not pair[0].stores):
        named = "" if outcome.stores else f": {', '.join(done.examples[outcome])}" + "…" * (count > 3)
        lines.append(f"{count:,} {outcome.value}{named}")
    if done.uploads:
        lines.append(f"{done.uploads:,} images {'to upload' if done.dry_run else 'uploaded'}")
    lines += done.left_out.lines("left out") + done.skipped.lines()
    if done.cut:
        lines.append(f"{done.cut:,} boxes reach beyond the image and were cut off at its edge")
    if done.dry_run:
        lines.append("nothing was changed: run it again without --dry-run")
    elif done.job:
        lines.append(f"training job {done.job} is launched")
    return lines + ([done.note] if done.note else [])


def _document(done: Imported) -> dict[str, object]:
    names = (
        "source",
        "format",
        "dry_run",
        "rows",
        "classes",
        "unknown_classes",
        "uploads",
        "cut",
        "job",
        "note",
    )
    outcomes = {
        outcome.name.lower(): {"count": count, "examples": done.examples[outcome]}
        for outcome, count in done.outcomes.items()
    }
    counts = {
        "stored": done.stored,
        "conflicts": done.conflicts,
        "outcomes": outcomes,
        "skipped": _listed(done.skipped),
    }
    counts["left_out"] = _listed(done.left_out)
    return {name: getattr(done, name) for name in names} | counts


def _listed(skipped: Skipped) -> list[dict[str, object]]:
    return [
        {"reason": reason, "count": count, "examples": skipped.examples[reason]}
        for reason, count in skipped.counts.items()
    ]
