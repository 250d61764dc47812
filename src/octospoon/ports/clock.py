"""The time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The time; a port so that tests can move it."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
