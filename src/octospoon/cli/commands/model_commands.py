"""The commands that look after the model: `octospoon init-model` and `octospoon model …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from octospoon.cli.commands import model_options
from octospoon.cli.deploy.class_names import class_names
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from octospoon.cli.commands.grammar import Parser
    from octospoon.cli.deployment import Deployment

    Commands = argparse._SubParsersAction[Parser]  # noqa: SLF001 - argparse names no other
    Run = Callable[[argparse.Namespace], None]
    Add = Callable[[Commands, str, Run, str], Parser]
    Deployed = Callable[[Commands, str, Run, str], Parser]


def add(commands: Commands, deployed: Deployed) -> None:
    """Add the commands.

    Args:
        commands: of the command line.
        deployed: adds a command that talks to a deployed stack.
    """
    command = deployed(commands, "init-model", _init_model, "give a new deployment its cold-start model")
    command.add_argument("--file", type=Path, help="a model file instead of the starter")
    model = commands.add_parser("model", help="look after the model").add_subparsers(
        required=True, metavar="COMMAND"
    )
    _optimize_arguments(
        deployed(model, "optimize", _optimize, "measure int8 and a graph optimised ahead of time")
    )
    _import_arguments(
        deployed(model, "import", _import, "wrap an ONNX file from elsewhere, check it, put it into service")
    )
    command = deployed(model, "rollback", _rollback, "put an earlier version into service, now")
    command.add_argument("--to", type=int, metavar="VERSION", help="default: the one promoted before")
    command.add_argument(
        "--new-backbone",
        action="store_true",
        help="even if the pool's images must then be scored again, by `octospoon rescore --full`",
    )


def _optimize_arguments(command: Parser) -> None:
    command.add_argument("--file", type=Path, help="a model file instead of the one in service")
    command.add_argument("--pictures", type=Path, metavar="DIR", help="for a model file: what to measure on")
    command.add_argument("--sample", type=int, default=400, help="pictures to compare on (default: 400)")
    command.add_argument(
        "--output", type=Path, default=Path(), help="folder for the forms that are worth it (default: here)"
    )


def _import_arguments(command: Parser) -> None:
    command.add_argument(
        "file", type=Path, metavar="FILE", help="ONNX, octospoon's own or any that takes an image"
    )
    command.add_argument("--classes", default="", help="of a classifier, comma-separated, in its own order")
    model_options.add(command)
    command.add_argument("--picture", type=Path, help="to try the model on (default: a drawn one)")
    command.add_argument(
        "--to", type=Path, metavar="OUT.onnx", help="write the model there, and put nothing into service"
    )


def _deployment(arguments: argparse.Namespace) -> Deployment:
    from octospoon.cli.deployment import find_deployment

    return find_deployment(arguments.stack)


def _init_model(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations.models import init_model

    pointer = init_model(_deployment(arguments), arguments.file)
    Console().print(f"champion: version {pointer.version}")


def _optimize(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations import optimize

    if (arguments.file is None) != (arguments.pictures is None):
        raise BadRequest("--file and --pictures go together: a model file, and a folder to measure it on")
    if arguments.file is None:
        found = optimize.of_deployment(_deployment(arguments), arguments.sample)
    else:
        found = optimize.of_file(arguments.file, arguments.pictures, arguments.sample)
    console = Console()
    console.print(optimize.table(found))
    for name, verdict, path in optimize.keep(found, arguments.output):
        kept = f"written to {path}" if path else "not worth it"
        console.print(
            f"{name}: {kept}: {'; '.join(verdict.reasons)}", markup=False, highlight=False, soft_wrap=True
        )
    for name, reason in found.failed.items():
        line = f"{name}: cannot be made: {reason}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print("a new deployment, and only a new one, begins with a form by `octospoon init-model --file`")


def _rollback(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations.models import rollback

    pointer = rollback(_deployment(arguments), arguments.to, new_backbone=arguments.new_backbone)
    Console().print(f"version {pointer.version} is in service from the next image on")
    if arguments.new_backbone:
        Console().print("`octospoon rescore --full` says what scoring the images of other backbones costs")


def _import(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations.import_model import import_model, write_model

    options = model_options.options_of(
        arguments, class_names(arguments.classes, "--classes") if arguments.classes else ()
    )
    if arguments.to is not None:
        if arguments.stack:
            raise BadRequest("--to writes a file and asks no deployment: leave out --stack")
        lines = write_model(arguments.file, arguments.to, options, arguments.picture)
    else:
        done = import_model(_deployment(arguments), arguments.file, options, arguments.picture)
        lines = [*done.model.recognised, done.said()]
    for line in lines:
        Console().print(line, soft_wrap=True, markup=False, highlight=False)
