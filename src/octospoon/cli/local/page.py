"""The page of the local stack, which runs beside its servers."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from octospoon.cli.operations import page_address
from octospoon.cli.stack.process import MARK
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.deployment import LocalProject
    from octospoon.cli.stack.running import RunningStack

PAGE = "page"
_LONGEST = 60.0
_PROGRAM = (
    f"import os, sys; del os.environ[{MARK!r}]; sys.stdout = open(os.devnull, 'w'); "
    "from octospoon.cli.main import main; sys.exit(main(['ui', '--no-browser']))"
)
"""The mark of the stack's processes has the name of the variable that names a stack on AWS. What the command
prints holds the token, which must not get into the log."""


def start_page(servers: RunningStack, project: LocalProject, progress: Callable[[str], None]) -> None:
    """Serve the page of the stack, unless it is served already.

    Args:
        servers: the running programs.
        project: what is deployed on them; the page finds it by itself.
        progress: receives a line of text.

    Raises:
        ServiceUnavailable: the page does not start.
    """
    if any(process.name == PAGE and process.alive() for process in servers.processes):
        return
    folder = page_address.folder_of(project.endpoint_url, project.outputs["PoolTable"])
    folder.mkdir(parents=True, exist_ok=True)
    page_address.forget(folder)
    progress("starting the page")
    process = servers.start_process(PAGE, [sys.executable, "-c", _PROGRAM], {})
    deadline = time.monotonic() + _LONGEST
    while not page_address.read(folder):
        if not process.alive() or time.monotonic() > deadline:
            raise ServiceUnavailable(f"the page does not start: see {servers.logs_dir / f'{PAGE}.log'}")
        time.sleep(0.05)
