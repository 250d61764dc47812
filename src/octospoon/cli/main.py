"""The octospoon command: puts the commands together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from octospoon import __version__
from octospoon.cli.commands import (
    backbone,
    demo,
    dlq,
    doctor,
    down,
    drop,
    init_model,
    label_studio,
    logs,
    model,
    picture,
    predict,
    rank,
    reconcile,
    report,
    rescore,
    simulate,
    status,
    trace,
    up,
    watch,
)
from octospoon.cli.commands.definition import Group, examples
from octospoon.cli.exit_status import run

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="octospoon",
    cls=Group,
    help="Event-driven active learning for images.",
    epilog=examples(
        "octospoon up --classes cat,dog",
        "octospoon drop photos/",
        "octospoon status",
        "octospoon drop --help",
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
for module in (
    demo,
    up,
    down,
    drop,
    predict,
    status,
    report,
    rank,
    picture,
    model,
    backbone,
    rescore,
    simulate,
):
    app.add_typer(module.app)
for module in (doctor, trace, logs, dlq, reconcile, watch, init_model, label_studio):
    app.add_typer(module.app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def octospoon(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Event-driven active learning for images."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status, see `octospoon.cli.exit_status.run`."""
    return run(app, argv, "octospoon")
