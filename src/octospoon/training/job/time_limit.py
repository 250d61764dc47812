"""End a job that takes too long, so that it counts as failed."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from octospoon.domain.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

MARGIN = 60.0
"""Seconds before the limit at which the job ends itself.

A platform with the same limit would stop it from outside. A job that was stopped from outside starts again at
once, and would do so for ever.
"""


def allowed(seconds: float) -> float:
    """Return after how many seconds a job with a limit ends itself."""
    return max(seconds - MARGIN, seconds / 2)


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End the block after that many seconds, less `MARGIN`; 0 for no limit. Only in the main thread.

    Raises:
        PermanentError: the time is over.
    """

    def over(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        raise PermanentError(
            f"the job took longer than the time limit of {seconds:,.0f} seconds: raise TrainingTimeLimit, or "
            "lower the number of epochs"
        )

    if not seconds:
        yield
        return
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, allowed(seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
