"""The clock."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The current time. Tests replace it."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
