"""The labelling rounds, and the lease on exporting one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import integer, text

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable
    from octospoon.adapters.s3.rounds import RoundFiles
    from octospoon.domain.labelling.tasks import Round


class DynamoRounds:
    """Implements `octospoon.ports.labelling.Rounds`: files are immutable, the table says which is open."""

    def __init__(self, table: ControlTable, files: RoundFiles) -> None:
        self._table = table
        self._files = files

    def open(self) -> Round | None:
        """Return the round that was chosen but not yet wholly exported."""
        item = self._table.read("round")
        return self._files.read(integer(item, "number")) if text(item, "status") == "open" else None

    def read(self, number: int) -> Round | None:
        """Return a round by its number, None where there is no such."""
        return self._files.read(number)

    def last_number(self) -> int:
        """Return the number of the newest round, 0 before the first."""
        return integer(self._table.read("round"), "number")

    def begin(self, round_: Round) -> Round:
        """Store a new round as the open one; where another was first, return that one instead."""
        stored = self._files.write(round_)
        self._table.update(
            "round",
            {"number": stored.number, "status": "open", "export_until": 0.0},
            "attribute_not_exists(#number) OR #number < :number",
            {":number": stored.number},
        )
        return stored

    def acquire(self, number: int, now: float, until: float) -> bool:
        """Become the only one who exports an open round until then; False where somebody else is."""
        return self._table.update(
            "round",
            {"export_until": until},
            "#number = :number AND #status = :open AND "
            "(attribute_not_exists(#export_until) OR #export_until < :now)",
            {":number": number, ":open": "open", ":now": now},
        )

    def release(self, number: int, until: float) -> None:
        """Let others export the round at once: nothing of it is on its way to Label Studio."""
        condition = "#number = :number AND #export_until = :until"
        self._table.update("round", {"export_until": 0.0}, condition, {":number": number, ":until": until})

    def acquire_predictions(self, now: float, until: float) -> bool:
        """Become the only one who adds predictions to tasks until then; False where somebody else is."""
        free = "attribute_not_exists(#until) OR #until < :now"
        return self._table.update("predictions", {"until": until}, free, {":now": now})

    def release_predictions(self, until: float) -> None:
        """Let others add predictions at once: none is on its way to Label Studio."""
        self._table.update("predictions", {"until": 0.0}, "#until = :until", {":until": until})

    def close(self, number: int) -> None:
        """Mark a round as exported."""
        self._table.update("round", {"status": "closed"}, "#number = :number", {":number": number})
