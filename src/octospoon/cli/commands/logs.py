"""octospoon logs: what a function logged lately."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.operations.functions import FUNCTIONS, FunctionName
from octospoon.cli.output import print_json_line, print_line

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon logs score", "octospoon logs rank --minutes 60 --search ERROR"),
)
def logs(
    function: Annotated[
        FunctionName, typer.Argument(metavar="FUNCTION", help=f"One of {', '.join(FUNCTIONS)}.")
    ],
    minutes: Annotated[float, typer.Option(help="How many minutes to go back.")] = 15.0,
    search: Annotated[
        str, typer.Option(help="A CloudWatch filter pattern, such as ERROR.", show_default=False)
    ] = "",
    stack: Stack = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each event as JSON on one line; `at` is in epoch seconds.")
    ] = False,
) -> None:
    """Show what a function logged lately.

    Use it to find out why a function failed. `octospoon trace` prints the id of an image, which --search
    takes.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.logs import events

    for event in events(find_deployment(stack), function, minutes, search):
        if as_json:
            print_json_line(event)
        else:
            print_line(f"{datetime.fromtimestamp(event.at, UTC).strftime('%H:%M:%S')}  {event.message}")
