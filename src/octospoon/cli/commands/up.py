"""octospoon up: start the local stack, with the settings of the last time unless others are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octospoon.cli.commands.definition import Command, Instruction, examples
from octospoon.cli.output import print_lines, timed_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.local.saved_settings import Changes

app = typer.Typer()


class UpCommand(Command):
    """A command whose help ends with the parameters of the template, read when the help is asked for."""

    def format_help(self, *arguments: Any) -> None:  # noqa: ANN401 - as Typer has them
        """Print the help, and then the parameters."""
        from octospoon.cli.deploy.parameters import described

        super().format_help(*arguments)
        typer.echo(described())


_Classes = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…",
        help="Class names, remembered for the next time (default: those of the last time, else the "
        "digits 0 to 9).",
    ),
]
_Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A parameter of the template, remembered for the next time. May be given more than once.",
    ),
]
_Backbone = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Backbone that a new stack begins with, see `octospoon backbone list` (default: the best for "
        "photos, downloaded if there is a network).",
        show_default=False,
    ),
]

_Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="0.0.0.0 lets other machines in your network reach Label Studio (default: this machine alone). "
        "Remembered for the next time.",
        show_default=False,
    ),
]


@app.command(
    cls=UpCommand,
    epilog=examples("octospoon up --classes cat,dog", "octospoon up --set BatchSize=20 --set AuditShare=0.3"),
)
def up(
    classes: _Classes = None,
    parameters: _Parameters = None,
    backbone: _Backbone = "",
    host: _Host = "",
    instruction: Instruction = None,
) -> None:
    """Start the local stack, or the parts of it that have ended.

    Use it to label images of your own on this machine. It prints the addresses of Label Studio, MLflow and
    the page of `octospoon ui`. The servers run on until `octospoon down`. It needs a checkout that `make up`
    has set up.
    """
    from octospoon.cli.extras import require

    require("local", "octospoon up")
    from octospoon.cli.deployment import find_local
    from octospoon.cli.local.saved_settings import changes
    from octospoon.cli.operations.instruction import instruct, read_instruction

    text = read_instruction(instruction) if instruction else ""
    lines = start_stack(changes(classes, parameters or (), backbone, host), timed_progress())
    if text:
        instruct(find_local(), text)
    print_lines(lines)


def start_stack(wanted: Changes, progress: Callable[[str], None]) -> list[str]:
    """Start the local stack, or the parts that have ended; return its addresses.

    Args:
        wanted: settings to change; the others are those of the last time.
        progress: is told how it goes.

    Raises:
        NotConfigured: the checkout is not ready, or a setting is not allowed.
        ServiceUnavailable: a server does not start, or the backbone cannot be downloaded.
        Conflict: the stack has a model with another backbone than the given one.
    """
    from octospoon.cli.local import addresses, saved_settings
    from octospoon.cli.local.first_model import FirstModel
    from octospoon.cli.local.page import start_page
    from octospoon.cli.local.preconditions import check_checkout
    from octospoon.cli.local.resume import start_with_data
    from octospoon.cli.local.trainer import trainer_environment
    from octospoon.cli.operations.first_model import begin_with_backbone
    from octospoon.cli.stack.layout import Layout
    from octospoon.cli.stack.record import only_one

    layout = Layout(Path.cwd().resolve())
    check_checkout(layout)
    with only_one(layout, "command", lambda: progress("waiting for another `octospoon up` or `down`")):
        settings = saved_settings.merged(wanted, saved_settings.recall(layout))
        trainer_environment(settings.parameters.get("Trainer", "head"))
        model = FirstModel(settings.backbone, progress, settings.parameters)
        if wanted.backbone:
            model()  # before anything starts
        progress(f"parameters: {', '.join(settings.parameters) or 'as the template has them'}")
        stack = start_with_data(layout, settings, progress, model)
        if wanted.backbone:
            begin_with_backbone(stack.deployment, model())
        saved_settings.remember(layout, settings)
        start_page(stack.servers, stack.project, progress)
    return addresses.lines(stack.project, stack.servers.credentials, stop="octospoon down")
