"""A clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeClock:
    time: float = 1_000_000.0

    def now(self) -> float:
        return self.time
