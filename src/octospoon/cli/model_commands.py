"""The commands that look after the model: `octospoon init-model` and `octospoon model …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from octospoon.domain.errors import BadRequest
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from octospoon.cli.context import Deployment

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names no other
    Run = Callable[[argparse.Namespace], None]
    Deployed = Callable[[Commands, str, Run, str], argparse.ArgumentParser]


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


def _optimize_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--file", type=Path, help="a model file instead of the one in service")
    command.add_argument("--pictures", type=Path, metavar="DIR", help="for a model file: what to measure on")
    command.add_argument("--sample", type=int, default=400, help="pictures to compare on (default: 400)")
    command.add_argument(
        "--output", type=Path, default=Path(), help="folder for the forms that are worth it (default: here)"
    )


def _import_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", type=Path, metavar="FILE", help="ONNX, octospoon's own or any that takes an image"
    )
    command.add_argument("--classes", default="", help="of a classifier, comma-separated, in its own order")
    command.add_argument("--size", default="", help="such as 224 or 192x256, where the file leaves it open")
    command.add_argument("--resize", default="", choices=("squash", "cover"), help="default: cover")
    command.add_argument(
        "--range", default="1", choices=("1", "255"), help="white, before mean and std (default: 1)"
    )
    command.add_argument("--mean", default="", metavar="R,G,B", help="subtracted (default: nothing)")
    command.add_argument("--std", default="", metavar="R,G,B", help="then divided by (default: nothing)")
    command.add_argument(
        "--output", default="", metavar="NAME", help="of the tensor to use, if there are several"
    )
    command.add_argument("--picture", type=Path, help="to try the model on (default: a drawn one)")


def _deployment(arguments: argparse.Namespace) -> Deployment:
    from octospoon.cli.context import find_deployment

    return find_deployment(arguments.stack)


def _init_model(arguments: argparse.Namespace) -> None:
    from octospoon.cli.model import init_model

    pointer = init_model(_deployment(arguments), arguments.file)
    Console().print(f"champion: version {pointer.version}")


def _optimize(arguments: argparse.Namespace) -> None:
    from octospoon.cli import optimize

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
    console.print("a new deployment, and only a new one, begins with a form by `octospoon init-model --file`")


def _rollback(arguments: argparse.Namespace) -> None:
    from octospoon.cli.model import backbone_in_service, rollback

    deployment, console = _deployment(arguments), Console(soft_wrap=True)
    before = backbone_in_service(deployment)
    pointer = rollback(deployment, arguments.to)
    console.print(f"version {pointer.version} is in service from the next image on")
    if before not in ("", pointer.backbone):
        console.print(
            "its backbone is another: `octospoon rescore --full` says what it costs to score the pool by it"
        )


def _import(arguments: argparse.Namespace) -> None:
    from octospoon.cli.model_import import import_model, options_of

    options = options_of(arguments, listed(arguments.classes))
    done = import_model(_deployment(arguments), arguments.file, options, arguments.picture)
    Console().print(done.said(), soft_wrap=True, markup=False, highlight=False)
