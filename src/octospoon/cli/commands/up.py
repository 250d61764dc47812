"""octospoon up: start the local stack, or mend it, with the settings that it had unless told others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from octospoon.cli.commands.grammar import Parser
    from octospoon.cli.local.saved_settings import UpSettings


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person gave on the command line.

    Attributes:
        classes: class names; None where none were given.
        parameters: of the template.
    """

    classes: tuple[str, ...] | None
    parameters: dict[str, str]


def add_arguments(command: Parser) -> None:
    """Add the options of `octospoon up`."""
    command.add_argument(
        "--classes",
        metavar="A,B,…",
        help="class names, remembered for the next time (default: those of before, else the digits 0 to 9)",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the template, remembered for the next time; may be given more than once",
    )
    command.more_help = _parameters


def _parameters() -> str:
    from octospoon.cli.deploy.parameters import described

    return described()


def asked(arguments: argparse.Namespace) -> Asked:
    """Return what was asked for, checked before anything starts.

    Raises:
        BadRequest: class names or parameters are not allowed.
    """
    from octospoon.cli.deploy.class_names import class_names
    from octospoon.cli.deploy.parameters import given

    classes = None if arguments.classes is None else class_names(arguments.classes)
    return Asked(classes, given(arguments.set))


def up(wanted: Asked, progress: Callable[[str], None]) -> list[str]:
    """Start the local stack, or mend it; return its addresses.

    Args:
        wanted: settings to change; the others are those of before.
        progress: is told how it goes.

    Raises:
        NotConfigured: the checkout is not ready, or a setting is not allowed.
        ServiceUnavailable: a server does not start.
    """
    from octospoon.cli.deployment import remember
    from octospoon.cli.local import addresses, saved_settings
    from octospoon.cli.local.assemble import assemble, trainer_environment
    from octospoon.cli.local.preconditions import check_checkout
    from octospoon.cli.stack import attach, start
    from octospoon.cli.stack.layout import Layout
    from octospoon.cli.stack.record import only_one

    layout = Layout(Path.cwd().resolve())
    check_checkout(layout)
    with only_one(layout, "command", lambda: progress("waiting for another `octospoon up` or `down`")):
        settings = _settings(wanted, saved_settings.recall(layout))
        trainer_environment(settings.parameters.get("Trainer", "head"))
        progress(f"classes: {_listing(settings.classes)}; parameters: {_listing(settings.parameters)}")
        if attach(layout.root) is None:
            saved_settings.remember(layout, settings)  # before the first picture comes, should this be killed
        servers = start(layout.root, progress=progress, fresh=True, detached=True)
        project = assemble(servers, settings.classes, progress, settings.parameters).project
        remember(project)
        saved_settings.remember(layout, settings)
    return addresses.lines(project, servers.credentials, stop="octospoon down")


def _settings(wanted: Asked, before: UpSettings) -> UpSettings:
    from octospoon.cli.datasets import digits
    from octospoon.cli.deploy.parameters import check
    from octospoon.cli.local.saved_settings import UpSettings

    check(before.parameters)
    classes = wanted.classes or before.classes or digits.CLASSES
    return UpSettings(classes, before.parameters | wanted.parameters)


def _listing(names: Sequence[str] | dict[str, str]) -> str:
    return ", ".join(names) or "as the template has them"
