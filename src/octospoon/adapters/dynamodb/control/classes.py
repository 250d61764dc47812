"""The changes of the project's classes, kept in one item of the control table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.dynamodb.items import text
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.classes import ClassChange, ClassHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from octospoon.adapters.dynamodb.control.table import ControlTable

ITEM = "classes"
LABELS = "class-labels"
MOST_BYTES = 200_000
"""Size of the stored changes. An item of DynamoDB can have 400 KB."""


class DynamoClassRecord:
    """Implements `octospoon.ports.labelling.ClassRecord`.

    Args:
        table: the control table.
        first: the class names of the template, which count until the first change; empty if unknown.
    """

    def __init__(self, table: ControlTable, first: Sequence[str] = ()) -> None:
        self._table = table
        self._first = tuple(first)

    def read(self) -> ClassHistory:
        """Return the project's classes and their changes."""
        item = self._table.read(ITEM)
        if not item:
            return ClassHistory(self._first)
        first = msgspec.json.decode(text(item, "first"), type=tuple[str, ...])
        return ClassHistory(first, msgspec.json.decode(text(item, "changes"), type=tuple[ClassChange, ...]))

    def save(self, before: ClassHistory, history: ClassHistory) -> bool:
        """Replace `before`; return False if it has been replaced already.

        Raises:
            BadRequest: there are too many changes to store.
        """
        changes = msgspec.json.encode(history.changes).decode()
        if len(changes.encode()) > MOST_BYTES:
            raise BadRequest(f"the classes were changed {len(history.changes):,} times: no change more fits")
        first = msgspec.json.encode(history.first).decode()
        same = "#revision = :revision" if before.revision else "attribute_not_exists(#revision)"
        return self._table.update(
            ITEM,
            {"first": first, "changes": changes, "revision": history.revision},
            same,
            {":revision": before.revision} if before.revision else {},
        )

    def labels(self) -> Mapping[str, int]:
        """Return the number of training labels of each class at the newest training job."""
        return msgspec.json.decode(text(self._table.read(LABELS), "labels", "{}"), type=dict[str, int])

    def keep_labels(self, labels: Mapping[str, int]) -> None:
        """Store the number of training labels of each class."""
        value = msgspec.json.encode(labels).decode()
        others = "attribute_not_exists(#labels) OR #labels <> :labels"
        self._table.update(LABELS, {"labels": value}, others, {":labels": value})


class CachedClasses:
    """Reads the classes again only if the last reading is older than some seconds.

    A function that counts many answers would else read the same item for each of them.

    Args:
        read: reads the classes.
        now: returns the time in epoch seconds.
        seconds: for which a reading is used.
    """

    def __init__(
        self, read: Callable[[], ClassHistory], now: Callable[[], float], seconds: float = 5.0
    ) -> None:
        self._read = read
        self._now = now
        self._seconds = seconds
        self._held: tuple[float, ClassHistory] | None = None

    def __call__(self) -> ClassHistory:
        """Return the project's classes and their changes."""
        now = self._now()
        if self._held is None or not 0 <= now - self._held[0] < self._seconds:
            self._held = now, self._read()
        return self._held[1]
