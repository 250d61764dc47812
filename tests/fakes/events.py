"""The event bus and its progress, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.monitoring.events import Event, Published

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class FakeEventBus:
    published: list[Event] = field(default_factory=list)
    down: bool = False

    def publish(self, events: Sequence[Event]) -> None:
        if self.down and events:
            raise ServiceUnavailable("the bus does not answer")
        self.published += events


@dataclass
class FakeEventProgress:
    stored: Published = field(default_factory=Published)

    def read(self) -> Published:
        return self.stored

    def save(self, progress: Published) -> bool:
        if progress.revision != self.stored.revision:
            return False
        self.stored = replace(progress, revision=progress.revision + 1)
        return True
