"""Publish events on a bus of Amazon EventBridge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.monitoring.events import Event

SOURCE = "octospoon"
SCHEMA = 1
"""Version of the details; it increases if a field changes its meaning or goes away."""
_A_REQUEST = 10
"""The most events that EventBridge takes in one request."""
_TRIES = 3


class EventBridgeBus:
    """Implements `octospoon.ports.events.EventBus`.

    Args:
        client: of EventBridge.
        bus: name of the bus.
        stack: name of the stack, which is part of each event.
    """

    def __init__(self, client: Any, bus: str, stack: str) -> None:  # noqa: ANN401 - boto3
        self._client = client
        self._bus = bus
        self._stack = stack

    def publish(self, events: Sequence[Event]) -> None:
        """Publish events, ten in a request."""
        for start in range(0, len(events), _A_REQUEST):
            self._send([self._entry(event) for event in events[start : start + _A_REQUEST]])

    def _send(self, entries: list[dict[str, str]]) -> None:
        reasons: set[str] = set()
        for _ in range(_TRIES):
            with translated(f"publishing events on the bus {self._bus}"):
                results = self._client.put_events(Entries=entries)["Entries"]
            failed = [n for n, result in enumerate(results) if result.get("ErrorCode")]
            if not failed:
                return
            reasons = {str(results[n].get("ErrorCode")) for n in failed}
            entries = [entries[n] for n in failed]
        raise ServiceUnavailable(
            f"the bus {self._bus} did not take {len(entries)} events: {', '.join(sorted(reasons))}"
        )

    def _entry(self, event: Event) -> dict[str, str]:
        detail = {"id": event.id, "schema": SCHEMA, "stack": self._stack, **event.detail}
        return {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": event.kind.value,
            "Detail": json.dumps(detail),
        }
