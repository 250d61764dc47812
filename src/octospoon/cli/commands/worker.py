"""octospoon worker: run the training jobs of a stack on this machine."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import Command, Stack, examples

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon worker --stack prod", "octospoon worker --stack prod --profile trainer"),
)
def worker(stack: Stack = None) -> None:
    """Run the training jobs of a stack on this machine.

    Use it with Launcher=queue, on any machine that reaches AWS and MLflow. It takes its settings from the
    stack, and runs until you stop it. The stack's output WorkerPolicyArn names the policy with all rights
    that it needs: attach it to the user or role that the machine signs in with. Several workers share the
    jobs. A job of a worker that stops begins again with another.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.worker import work

    raise typer.Exit(work(find_deployment(stack)))
