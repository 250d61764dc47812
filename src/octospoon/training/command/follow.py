"""Report the metrics of epochs that a program writes, while it runs."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest, OctospoonError
from octospoon.training.command.result import read_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Report = Callable[[Sequence[Mapping[str, float]]], None]

EVERY = 5.0
"""Seconds between two looks at the file."""
_ENDING = 10.0
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def epochs_reported(folder: Path, report: Report) -> Iterator[None]:
    """Report epochs in the background until the block ends, so that a slow server delays no time limit.

    A file that cannot be read is left to the end of the program, and an error of the report to the next look.

    Args:
        folder: where the program writes ``metrics.csv``.
        report: is given the metrics of all epochs so far, whenever there are more.
    """
    over = threading.Event()

    def follow() -> None:
        reported = 0
        while not over.wait(EVERY):
            try:
                epochs = read_metrics(folder, growing=True)
                if len(epochs) > reported:
                    report(epochs)
                    reported = len(epochs)
            except (BadRequest, OSError):
                continue
            except OctospoonError as error:
                _log.warning("the metrics of %d epochs are not reported yet: %s", len(epochs), error)

    follower = threading.Thread(target=follow, name="epochs", daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join(_ENDING)
