"""octospoon watch: measure the model in service and test for drift now."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon watch"))
def watch(stack: Stack = None, as_json: AsJson = False) -> None:
    """Measure the model in service and test yesterday's uploads for drift now.

    Use it when you do not want to wait for the daily run. `octospoon report` shows the accuracy that it
    measured.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import run_now

    answer = run_now.watch(find_deployment(stack))
    if as_json:
        print_json(answer)
        return
    asked = f"; training was asked for: {answer.asked}" if answer.asked else ""
    print_line(f"drift: {answer.drift}{asked}; `octospoon report` shows the rest")
