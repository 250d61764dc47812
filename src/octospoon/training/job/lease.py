"""Keep a job's lease, so that only one process runs the job."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from octospoon.domain.errors import OctospoonError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.training.context import TrainingPorts

LEASE_SECONDS = 600.0
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def lease_kept(job_id: str, ports: TrainingPorts) -> Iterator[None]:
    """Renew the job's lease in the background until the block ends."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LEASE_SECONDS / 4):
            try:
                if not ports.control.renew(job_id, ports.clock.now() + LEASE_SECONDS):
                    _log.warning("another job has replaced job %s", job_id)
                    return
            except OctospoonError as error:
                _log.warning("the lease could not be renewed, trying again: %s", error)

    keeper = threading.Thread(target=renew, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
