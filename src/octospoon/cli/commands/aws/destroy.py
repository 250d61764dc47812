"""octospoon aws destroy: remove a stack."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.output import print_line, print_lines, timed_progress
from octospoon.domain.errors import BadRequest

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon aws destroy --stack trial"))
def destroy(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, stack: Stack = None
) -> None:
    """Remove a stack from AWS, and keep its images, labels and models.

    Use it when a stack is no longer needed. Buckets, tables and secrets stay, because nothing that people
    made is deleted with a stack. The command lists them with what they cost, and asks first.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.deployment.session import named_stack
    from octospoon.cli.operations.aws.removal import destroy as remove
    from octospoon.cli.operations.aws.removal import kept

    name = named_stack(stack)
    deployment = find_deployment(name)
    print_line("these stay, and you can delete them yourself:")
    print_lines(f"  {line}" for line in kept(deployment, name))
    if not yes:
        _confirm(name)
    remove(deployment, name, timed_progress())


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise BadRequest("add --yes if nobody can be asked")
    if typer.prompt(f"Type {name} to remove the stack", default="", show_default=False) != name:
        raise BadRequest("nothing was removed")
