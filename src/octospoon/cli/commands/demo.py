"""octospoon demo: the whole loop on real images, from start to stop."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import Command, examples
from octospoon.cli.output import timed_progress

STARTED = "OCTOSPOON_STARTED"
"""Epoch seconds at which `make` began, so that the time of the set-up counts too."""

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon demo"))
def demo() -> None:
    """Run the whole loop on real images, then stop everything.

    Use it to see octospoon work before you bring images of your own. It starts a local stack, uploads the
    digits of scikit-learn, labels them in several rounds, and trains and promotes models. It needs a
    checkout that `make demo` has set up.
    """
    import os
    import signal
    import time
    from pathlib import Path

    from rich.console import Console

    from octospoon.cli.extras import require

    require("local", "octospoon demo")
    from octospoon.cli.datasets import digits
    from octospoon.cli.demo.loop import PARAMETERS, Demo
    from octospoon.cli.local.assemble import assemble
    from octospoon.cli.stack import start

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a shell starts background jobs with SIGINT ignored; Ctrl-C must stop the servers all the same
        signal.signal(signal.SIGINT, signal.default_int_handler)
    started, progress = float(os.environ.get(STARTED) or time.time()), timed_progress()
    with start(Path.cwd(), progress=progress, fresh=True, name="demo") as servers:
        stack = assemble(servers, digits.CLASSES, progress, PARAMETERS)
        Demo(stack, Console()).run(time.time() - started)
