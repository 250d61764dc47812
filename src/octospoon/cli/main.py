"""The octospoon command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from octospoon import __version__
from octospoon.cli.commands import (
    diagnosis_commands,
    label_studio_commands,
    local_commands,
    model_commands,
    picture_commands,
    simulate_command,
)
from octospoon.cli.commands.grammar import Parser
from octospoon.cli.operations.functions import FUNCTIONS
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from octospoon.cli.deployment import Deployment

    Commands = argparse._SubParsersAction[Parser]  # noqa: SLF001 - argparse names no other
    Run = Callable[[argparse.Namespace], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, or 1 with the reason on standard error."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - nobody is shown a traceback
        from octospoon.cli.failures import sentence

        _complain(sentence(error))
        return 1
    return 0


def _complain(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(
        f"octospoon: {text}", style="red", markup=False, highlight=False
    )


def parser() -> Parser:
    """Return the command line's grammar."""
    root = Parser(prog="octospoon", description="Event-driven active learning for images.")
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    local_commands.add(commands, _add)
    _deployed_commands(commands)
    simulate_command.add(commands, _deployed)
    label_studio_commands.add(commands, _add, _deployed)
    return root


def _deployed_commands(commands: Commands) -> None:
    command = _deployed(commands, "drop", _drop, "upload pictures")
    command.add_argument("paths", nargs="+", type=Path, metavar="DIR|FILE")
    command.add_argument("--prefix", default="", help="put before every object key, such as trip-7/")
    command.add_argument(
        "--replace",
        action="store_true",
        help="replace other bytes under the same key, and so reset their labels",
    )
    command = _deployed(commands, "predict", _predict, "ask the model in service about pictures, now")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE")
    command.add_argument("--add", action="store_true", help="let the pictures join the pool")
    _deployed(commands, "status", _status, "show where everything stands")
    command = _deployed(commands, "report", _report, "show how good the model in service is")
    command.add_argument("--days", type=float, help="only images uploaded in the last so many days")
    command = _deployed(commands, "rescore", _rescore, "have the pool scored anew by the model in service")
    command.add_argument(
        "--full", action="store_true", help="the images whose embedding another backbone made; says the cost"
    )
    command.add_argument("--yes", action="store_true", help="with --full: queue them")
    command.add_argument(
        "--days", type=int, default=0, help="only uploads of so many days, today included (default: all)"
    )
    _deployed(commands, "rank", _rank, "choose and export a labelling batch now")
    command = _deployed(commands, "reconcile", _reconcile, "count now what a lost webhook left uncounted")
    command.add_argument("--full", action="store_true", help="look at every task, not only the changed ones")
    command.add_argument(
        "--accept-removals",
        action="store_true",
        help="remove the labels whose annotations Label Studio no longer has (`octospoon status` shows them)",
    )
    command = _deployed(commands, "dlq", _dlq, "list what failed for good, or give it back to its queues")
    command.add_argument("action", choices=("list", "redrive"))
    command.add_argument("queues", nargs="*", metavar="QUEUE", help="such as uploads (default: all)")
    _deployed(commands, "watch", _watch, "measure the model and test yesterday's uploads for drift now")
    command = _deployed(commands, "logs", _logs, "show what a function said lately")
    command.add_argument("function", choices=FUNCTIONS)
    command.add_argument("--minutes", type=float, default=15.0, help="how far back (default: 15)")
    command.add_argument("--search", default="", help="a CloudWatch filter pattern, such as ERROR")
    diagnosis_commands.add(commands, _deployed)
    model_commands.add(commands, _deployed)
    picture_commands.add(commands, _add)


def _add(commands: Commands, name: str, run: Run, description: str) -> Parser:
    command = commands.add_parser(name, help=description, description=description)
    command.set_defaults(run=run)
    return command


def _deployed(commands: Commands, name: str, run: Run, description: str) -> Parser:
    command = _add(commands, name, run, description)
    command.add_argument("--stack", help="CloudFormation stack on AWS (default: OCTOSPOON_STACK, else local)")
    return command


def _deployment(arguments: argparse.Namespace) -> Deployment:
    from octospoon.cli.deployment import find_deployment

    return find_deployment(arguments.stack)


def _drop(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations.upload import drop, summary

    done = drop(_deployment(arguments), arguments.paths, arguments.prefix, replace=arguments.replace)
    for line in summary(done):
        Console().print(line, soft_wrap=True, markup=False, highlight=False)
    if not done.uploaded and not done.replaced:
        raise BadRequest("nothing was uploaded")
    Console().print("`octospoon status` shows what becomes of them", soft_wrap=True)


def _predict(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations.predict import predict, table

    told = predict(_deployment(arguments), arguments.files, add=arguments.add)
    Console().print(table(told))
    if failed := sum(bool(one.error) for one in told):
        raise BadRequest(f"{failed} of {len(told)} pictures have no prediction")


def _status(arguments: argparse.Namespace) -> None:
    from octospoon.cli.commands.status import show

    show(_deployment(arguments))


def _report(arguments: argparse.Namespace) -> None:
    from octospoon.cli.commands.report import show

    show(_deployment(arguments), arguments.days)


def _rank(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations.run_now import rank

    report = rank(_deployment(arguments))
    Console().print(
        f"round {report.round_number}: {report.exported} images are with the annotators"
        if report.exported
        else f"nothing exported: {report.reason}"
    )


def _rescore(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations import rescore

    if arguments.yes and not arguments.full:
        raise BadRequest("--yes goes with --full: re-scoring from embeddings reads no image")
    if arguments.days < 0 or (arguments.days and arguments.full):
        raise BadRequest("--days is a number of days, and does not go with --full")
    deployment, console = _deployment(arguments), Console(soft_wrap=True)
    if not arguments.full:
        pointer = rescore.shards(deployment, arguments.days)
        console.print(
            f"version {pointer.version} scores what is behind; `octospoon status` shows how far it is"
        )
        return
    images = rescore.stale_images(deployment)
    if not images:
        console.print("every embedding is of the backbone in service: `octospoon rescore` reads no image")
        return
    console.print(str(rescore.estimate(deployment, images)), markup=False)
    if not arguments.yes:
        console.print("nothing is queued: add --yes to have them scored")
        return
    count = rescore.queue(deployment, images)
    console.print(f"{count:,} images queued; once `octospoon status` shows none waiting, `octospoon rescore`")


def _reconcile(arguments: argparse.Namespace) -> None:
    from octospoon.cli.commands import reconcile

    deployment = _deployment(arguments)
    if arguments.accept_removals:
        if arguments.full:
            raise BadRequest("--accept-removals goes with the removal that was found last: without --full")
        reconcile.accept(deployment)
    else:
        reconcile.run(deployment, full=arguments.full)


def _dlq(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations import dead_letters as dlq

    deployment = _deployment(arguments)
    if arguments.action == "list":
        dlq.show(deployment, arguments.queues)
        return
    moved = dlq.redrive(deployment, arguments.queues)
    said = ", ".join(f"{count} to {name}" for name, count in moved.items())
    Console().print(f"given back: {said}" if said else "there are no dead letters")


def _watch(arguments: argparse.Namespace) -> None:
    from octospoon.cli.operations.run_now import watch

    seen = watch(_deployment(arguments))
    asked = f"; training was asked for: {seen.asked}" if seen.asked else ""
    Console().print(f"drift: {seen.drift}{asked}; `octospoon report` shows the rest")


def _logs(arguments: argparse.Namespace) -> None:
    from octospoon.cli.commands.logs import show_logs

    show_logs(_deployment(arguments), arguments.function, arguments.minutes, arguments.search)
