"""The commands of the local stack: `octospoon demo`, `up` and `down`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from octospoon.cli.commands import up

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from octospoon.cli.commands.model_commands import Add, Commands

STARTED = "OCTOSPOON_STARTED"
"""Epoch seconds at which `make` began, so that set-up time counts from there."""


def add(commands: Commands, plain: Add) -> None:
    """Add the commands; `plain` adds one that needs no deployed stack."""
    plain(commands, "demo", _demo, "run the whole loop on real images, then stop everything")
    up.add_arguments(plain(commands, "up", _up, "start the local stack, or what has ended of it"))
    command = plain(commands, "down", _down, "stop the local stack; what it held is kept, and said where")
    command.add_argument(
        "--forget", action="store_true", help="remove what this stack and earlier ones held; asks first"
    )
    command.add_argument("--yes", action="store_true", help="with --forget: do not ask")


def _demo(arguments: argparse.Namespace) -> None:  # noqa: ARG001
    from octospoon.cli.datasets import digits
    from octospoon.cli.demo.loop import Demo
    from octospoon.cli.local.assemble import assemble
    from octospoon.cli.stack import start

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a shell's background jobs are deaf to Ctrl-C: they must not leave servers behind all the same
        signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console()
    started = float(os.environ.get(STARTED) or time.time())
    with start(Path.cwd(), progress=_say(console), fresh=True, name="demo") as servers:
        # the demonstration chooses its rounds itself
        stack = assemble(servers, digits.CLASSES, _say(console), {"RankTriggers": "schedule"})
        Demo(stack, console).run(time.time() - started)


def _up(arguments: argparse.Namespace) -> None:
    console = Console()
    for line in up.up(up.asked(arguments), _say(console)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _down(arguments: argparse.Namespace) -> None:
    from octospoon.cli.commands.down import stop

    stop(_say(Console()), forget=arguments.forget, yes=arguments.yes)


def _say(console: Console) -> Callable[[str], None]:
    started = time.monotonic()

    def say(line: str) -> None:
        elapsed = f"[dim]{time.monotonic() - started:4.0f} s[/dim]"
        console.print(f"{elapsed}  {escape(line)}", highlight=False, soft_wrap=True)

    return say
