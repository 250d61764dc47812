"""The destination of events about a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.monitoring.events import Event, Published


class EventBus(Protocol):
    """Tells other programs what happened."""

    def publish(self, events: Sequence[Event]) -> None:
        """Publish events; some are published if this raises an error.

        Raises:
            ServiceUnavailable: some could not be published now.
            Refused: the bus does not exist, or may not be used.
        """


class EventProgress(Protocol):
    """The progress of publishing events."""

    def read(self) -> Published:
        """Return the progress."""

    def save(self, progress: Published) -> bool:
        """Store the progress with the next revision; return False if the stored revision is another."""
