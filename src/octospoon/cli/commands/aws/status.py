"""octospoon aws status: what is deployed."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import line_table, print_json, print_line_table

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon aws status --stack prod"))
def status(stack: Stack = None, as_json: AsJson = False) -> None:
    """Show what is deployed on AWS, and how it differs from its parameter file.

    Use it to see whether a deployment has ended, and which changes of the file are not deployed yet. For
    images, labels and models, use `octospoon status`.
    """
    from octospoon.cli.extras import require

    require("local", "octospoon aws status")
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.deployment.session import named_stack
    from octospoon.cli.operations.aws.stack_status import read_stack

    name = named_stack(stack)
    state = read_stack(find_deployment(name), name)
    if as_json:
        print_json(state)
        return
    table = line_table("what", "value")
    for row in state.rows():
        table.add_row(*row)
    print_line_table(table)
