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
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    image: Annotated[
        bool | None,
        typer.Option("--image/--keep-image", help="Remove the stack that builds the training image too."),
    ] = None,
    stack: Stack = None,
) -> None:
    """Remove a stack from AWS, and keep its images, labels and models.

    Use it when a stack is no longer needed. Buckets, tables, secrets and training images stay, because
    nothing that people made is deleted with a stack. The command lists them with what they cost, and asks
    first. It also asks about the stack that builds the training image, if there is one.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.deployment.session import named_stack
    from octospoon.cli.operations.aws.removal import destroy as remove
    from octospoon.cli.operations.aws.removal import image_stack_of, kept, remove_stack

    name, progress = named_stack(stack), timed_progress()
    deployment = find_deployment(name)
    client = deployment.client("cloudformation")
    print_line("these stay, and you can delete them yourself:")
    print_lines(f"  {line}" for line in kept(deployment, name))
    if not yes:
        _confirm(name)
    builds = image_stack_of(client, name)
    if builds and image is None:
        image = not yes and typer.confirm(f"Remove {builds} too? It builds training images, which stay")
    # the stack of the image goes first: a command that is repeated finds both through the other one
    if builds and image:
        remove_stack(client, builds, progress)
    remove(deployment, name, progress)
    if builds and not image:
        print_line(f"{builds} stays: `aws cloudformation delete-stack --stack-name {builds}` removes it")


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise BadRequest("add --yes if nobody can be asked")
    if typer.prompt(f"Type {name} to remove the stack", default="", show_default=False) != name:
        raise BadRequest("nothing was removed")
