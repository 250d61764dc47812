"""The command that looks at picture files: `octospoon picture`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import RESIZE_RULES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from octospoon.cli.commands.model_commands import Commands, Run

    Local = Callable[[Commands, str, Run, str], argparse.ArgumentParser]


def add(commands: Commands, local: Local) -> None:
    """Add the command.

    Args:
        commands: of the command line.
        local: adds a command that needs no stack.
    """
    what = "show what a model sees of picture files, or why it cannot: one line of JSON each, no stack needed"
    command = local(commands, "picture", _picture, what)
    command.add_argument("files", nargs="+", type=Path, metavar="FILE")
    command.add_argument("--height", type=int, default=224, help="in pixels (default: 224)")
    command.add_argument("--width", type=int, default=224, help="in pixels (default: 224)")
    command.add_argument("--resize", default="squash", choices=RESIZE_RULES, help="default: squash")
    command.add_argument("--to", type=Path, metavar="DIR", help="write the decoded pixels there, as NAME.png")


def _picture(arguments: argparse.Namespace) -> None:
    from octospoon.adapters.imaging.decode import Target
    from octospoon.cli.operations.picture import check

    target = Target(arguments.height, arguments.width, arguments.resize)
    if not check(arguments.files, target, arguments.to):
        raise BadRequest("not every file is a picture that can be scored; the lines above say why")
