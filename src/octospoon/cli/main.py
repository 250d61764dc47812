"""The octospoon command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from octospoon import __version__
from octospoon.cli.commands.definition import examples
from octospoon.cli.commands.overview import Overview
from octospoon.cli.exit_status import run

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="octospoon",
    cls=Overview,
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
