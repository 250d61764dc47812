"""Have every image read again that must be, and wait until it has been.

`rescore` does the work and keeps its place, so this may be interrupted and done again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from octospoon.cli.operations import rescore
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.pool.keys import SHARDS

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

_PAUSE = 2.0
_STALLED = 3600.0
"""Seconds without progress after which the command gives up; a message that failed comes after 9 minutes."""


def read_all(deployment: Deployment, images: int) -> int:
    """Have all images read again that must be; return how many of them could not be scored in time.

    Args:
        deployment: the deployment.
        images: how many there are, for the progress bar.

    Raises:
        ServiceUnavailable: nothing happens any more.
    """
    before = deployment.reading.newest()
    rescore.read_again(deployment)
    last, changed = before, time.monotonic()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading images", total=images)
        while True:
            state = deployment.reading.newest()
            if state is not None and (before is None or state.run > before.run) and state.shards == SHARDS:
                return state.left
            if state != last:
                last, changed = state, time.monotonic()
            if time.monotonic() > changed + _STALLED:
                raise ServiceUnavailable(
                    "no image was read again for an hour: `octospoon dlq list` shows what failed, and "
                    "`octospoon logs rescore` why; then run this command again"
                )
            bar.update(task, completed=state.seen if state else 0)
            time.sleep(_PAUSE)
