"""octospoon demo: the whole loop on real images, from start to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from octospoon.cli.commands.definition import Command, examples
from octospoon.cli.output import timed_progress

STARTED = "OCTOSPOON_STARTED"
"""Epoch seconds at which `make` began, so that the time of the set-up counts too."""

app = typer.Typer()


Task = Annotated[
    str,
    typer.Option(
        "--task",
        metavar="TYPE",
        help="The kind of label: classification for one digit per image, multilabel for several, detection "
        "for their boxes.",
    ),
]


@app.command(cls=Command, epilog=examples("octospoon demo", "octospoon demo --task detection"))
def demo(task: Task = "classification") -> None:
    """Run the whole loop on real images, then stop everything.

    Use it to see octospoon work before you bring images of your own. It starts a local stack, uploads the
    digits of scikit-learn, labels them in several rounds, and trains and promotes models. It needs a
    checkout that `make demo` has set up, or `make demo TASK=detection` for boxes.
    """
    import os
    import signal
    import time
    from pathlib import Path

    from rich.console import Console

    from octospoon.cli.extras import require

    require("local", "octospoon demo")
    from octospoon.cli.demo.loop import Demo, parameters
    from octospoon.cli.demo.tasks import task_named
    from octospoon.cli.local.assemble import assemble
    from octospoon.cli.local.first_model import FirstModel
    from octospoon.cli.local.trainer import trainer_environment
    from octospoon.cli.stack import start
    from octospoon.training.model.model_file import starter_model

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a shell starts background jobs with SIGINT ignored; Ctrl-C must stop the servers all the same
        signal.signal(signal.SIGINT, signal.default_int_handler)
    data = task_named(task)
    trainer_environment(data.parameters.get("Trainer", "head"))  # before a server is started
    started, progress = float(os.environ.get(STARTED) or time.time()), timed_progress()
    with start(Path.cwd(), progress=progress, fresh=True, name="demo") as servers:
        model = FirstModel("", progress, parameters(data)) if data.photos else starter_model
        stack = assemble(servers, data.classes, progress, parameters(data), model)
        Demo(stack, Console(), data).run(time.time() - started)
