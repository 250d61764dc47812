"""The command `octospoon simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from octospoon.cli.commands import model_options
from octospoon.domain.errors import BadRequest
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from octospoon.cli.commands.model_commands import Commands, Deployed
    from octospoon.cli.datasets.labelled import Source
    from octospoon.cli.operations.simulation_report import Wanted


def add(commands: Commands, deployed: Deployed) -> None:
    """Add the command.

    Args:
        commands: of the command line.
        deployed: adds a command that talks to a deployed stack.
    """
    command = deployed(
        commands, "simulate", _simulate, "compare strategies with random on images whose labels are known"
    )
    command.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="one folder of pictures per class"
    )
    command.add_argument("--digits", action="store_true", help="scikit-learn's digits instead")
    command.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="ONNX that embeds the pictures, octospoon's own or not (default: the starter)",
    )
    command.add_argument("--strategies", default="margin_diverse,margin", help="comma-separated")
    command.add_argument("--seeds", type=int, default=20, help="repetitions (default: 20)")
    command.add_argument("--labels", type=int, default=200, help="how far to label (default: 200)")
    command.add_argument("--batch", type=int, default=20, help="images per round (default: 20)")
    command.add_argument("--audit-share", type=float, default=0.2, help="of each batch (default: 0.2)")
    command.add_argument("--workers", type=int, default=0, help="processes (default: one per core)")
    command.add_argument(
        "--out", type=Path, default=Path(".octospoon/simulation"), help="folder of the report"
    )
    model_options.add(command)


def _simulate(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations.simulate import check_pool, simulate

    wanted = _wanted(arguments)
    source = _source(arguments, lambda pool: check_pool(wanted, pool))
    simulate(source, wanted, Console())


def _wanted(arguments: argparse.Namespace) -> Wanted:
    """Return what was asked for; raises BadRequest before a picture is read where it cannot be done."""
    from octospoon.cli.operations.simulate import check_options
    from octospoon.cli.operations.simulation_report import Wanted
    from octospoon.domain.batch.compose import BatchRules
    from octospoon.runtime.wiring import cores
    from octospoon.training.simulation import Plan

    if arguments.batch < 1 or not 0 <= arguments.audit_share < 1:
        raise BadRequest("--batch takes at least 1, --audit-share something from 0 up to, not including, 1")
    if arguments.labels < arguments.batch:
        raise BadRequest(f"--labels is {arguments.labels}: it must be at least --batch, {arguments.batch}")
    if arguments.workers < 0:
        raise BadRequest("--workers is a number of processes; 0 for one per core")
    if arguments.digits and arguments.folder:
        raise BadRequest("--digits and a folder do not go together")
    plan = Plan.up_to(arguments.labels, BatchRules(arguments.batch, arguments.audit_share))
    wanted = Wanted(
        listed(arguments.strategies), arguments.seeds, plan, arguments.workers or cores(), arguments.out
    )
    check_options(wanted)
    return wanted


def _source(arguments: argparse.Namespace, check: Callable[[int], None]) -> Source:
    from octospoon.cli.datasets import labelled
    from octospoon.training.graph.wrap_onnx import Pixels
    from octospoon.training.model.check_import import Options

    options = model_options.options_of(arguments)
    if arguments.model is None and options != Options(Pixels()):
        raise BadRequest("the options of an ONNX file go with --model: name the file")
    own = not arguments.digits and not arguments.folder
    if own and arguments.model is not None:
        raise BadRequest("a project's labels are simulated on its stored embeddings: leave out --model")
    model = None if arguments.model is None else labelled.model_of(arguments.model, options)
    if arguments.digits:
        return labelled.of_digits(model, check)
    if arguments.folder:
        return labelled.of_folder(arguments.folder, model, check)
    from octospoon.cli.deployment import find_deployment

    return labelled.of_project(find_deployment(arguments.stack))
