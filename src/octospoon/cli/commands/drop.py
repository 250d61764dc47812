"""octospoon drop: upload images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_error_line, print_json, print_json_line, print_line, print_lines
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.upload import Dropped

app = typer.Typer()


Paths = Annotated[list[Path], typer.Argument(metavar="DIR|FILE", help="Folders and image files.")]
Prefix = Annotated[
    str, typer.Option(help="Put this before every object key, such as trip-7/.", show_default=False)
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace images of the same name, and reset their labels.")
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Also upload what appears in the folder later, until Ctrl-C.")
]
IntoExisting = Annotated[
    bool, typer.Option("--into-existing-bucket", help="Write to a bucket that the stack itself only reads.")
]
EXAMPLES = examples(
    "octospoon drop photos/",
    "octospoon drop photos/ extra.jpg --prefix trip-7/",
    "octospoon drop --watch camera/",
)


@app.command(cls=Command, epilog=EXAMPLES)
def drop(
    paths: Paths,
    prefix: Prefix = "",
    replace: Replace = False,
    watch: Watch = False,
    into_existing: IntoExisting = False,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Upload images into the images bucket.

    Use it to add images to the pool. Every uploaded image is scored within seconds, and `octospoon status`
    shows what became of it. Files that are no images are skipped and counted by reason. With --watch, each
    file is uploaded when it is complete, and --json prints a line for each file.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import upload

    deployment = find_deployment(stack)
    if watch:
        _watch(deployment, paths, prefix, replace=replace, into_existing=into_existing, as_json=as_json)
        return
    done = upload.drop(deployment, paths, prefix, replace=replace, into_existing=into_existing)
    if as_json:
        print_json(_document(done))
    else:
        print_lines(summary(done))
    if not done.uploaded and not done.replaced:
        raise BadRequest("nothing was uploaded")
    if not as_json:
        print_line("`octospoon status` shows whether they are scored")


def _watch(
    deployment: Deployment,
    paths: list[Path],
    prefix: str,
    *,
    replace: bool,
    into_existing: bool,
    as_json: bool,
) -> None:
    from octospoon.cli.operations.watch_folder import watch_folder

    if len(paths) != 1 or not paths[0].is_dir():
        raise BadRequest("--watch takes one folder")
    counts: Counter[str] = Counter()

    def report(key: str, outcome: str) -> None:
        counts[outcome] += 1
        if as_json:
            print_json_line({"key": key, "outcome": outcome})
        else:
            print_line(f"{key}: {outcome}")

    print_error_line(f"watching {paths[0]}; Ctrl-C ends it")
    watch_folder(
        deployment,
        paths[0],
        prefix,
        report,
        print_error_line,
        replace=replace,
        into_existing=into_existing,
    )
    print_error_line(f"ended: {counts['uploaded']:,} images uploaded, {counts['replaced']:,} replaced")


def summary(done: Dropped) -> list[str]:
    """Return what became of the files, one line for each kind."""
    counts = Counter({"uploaded": done.uploaded, "replaced": done.replaced})
    lines = [f"{count:,} images {what}" for what, count in counts.items() if count or what == "uploaded"]
    return lines + done.skipped.lines()


def _document(done: Dropped) -> dict[str, object]:
    skipped = [
        {"reason": reason, "count": count, "examples": done.skipped.examples[reason]}
        for reason, count in done.skipped.counts.items()
    ]
    return {"uploaded": done.uploaded, "replaced": done.replaced, "skipped": skipped}
