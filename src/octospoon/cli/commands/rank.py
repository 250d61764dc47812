"""octospoon rank: choose and export a labelling batch now."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon rank"))
def rank(stack: Stack = None, as_json: AsJson = False) -> None:
    """Choose a batch of images and send it to Label Studio now.

    Use it when you do not want to wait for the schedule. It does nothing while enough tasks are open; then
    it prints the reason.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import run_now

    report = run_now.rank(find_deployment(stack))
    if as_json:
        print_json(report)
    elif report.exported:
        print_line(f"round {report.round_number}: {report.exported} images were sent to the annotators")
        for note in report.notes:
            print_line(note)
    else:
        print_line(f"nothing exported: {report.reason}")
