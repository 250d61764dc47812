"""The labelling rounds, and the lease on exporting one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import integer, text

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable
    from octospoon.adapters.dynamodb.items import Value
    from octospoon.adapters.s3.rounds import RoundFiles
    from octospoon.domain.labelling.tasks import Round


class DynamoRounds:
    """Implements `octospoon.ports.labelling.Rounds`: each round is a file, the table names the open round."""

    def __init__(self, table: ControlTable, files: RoundFiles) -> None:
        self._table = table
        self._files = files

    def open(self) -> Round | None:
        """Return the round whose export has not finished, or None."""
        item = self._table.read("round")
        return self._files.read(integer(item, "number")) if text(item, "status") == "open" else None

    def read(self, number: int) -> Round | None:
        """Return a round by its number, or None if there is no such round."""
        return self._files.read(number)

    def last_number(self) -> int:
        """Return the number of the newest round, 0 before the first."""
        return integer(self._table.read("round"), "number")

    def begin(self, round_: Round) -> Round:
        """Store a new round as the open round; if another run was first, return its round instead."""
        stored = self._files.write(round_)
        self._table.update(
            "round",
            {"number": stored.number, "status": "open", "export_until": 0.0},
            "attribute_not_exists(#number) OR #number < :number",
            {":number": stored.number},
        )
        return stored

    def acquire(self, number: int, now: float, until: float) -> bool:
        """Acquire the lease on exporting the open round; return False if another run holds it."""
        return self._table.update(
            "round",
            {"export_until": until},
            "#number = :number AND #status = :open AND "
            "(attribute_not_exists(#export_until) OR #export_until < :now)",
            {":number": number, ":open": "open", ":now": now},
        )

    def release(self, number: int, until: float) -> None:
        """Release the lease on exporting the round, if nothing is on its way to Label Studio."""
        condition = "#number = :number AND #export_until = :until"
        self._table.update("round", {"export_until": 0.0}, condition, {":number": number, ":until": until})

    def acquire_predictions(self, now: float, until: float) -> bool:
        """Acquire the lease on adding predictions to tasks; return False if another run holds it."""
        free = "attribute_not_exists(#until) OR #until < :now"
        return self._table.update("predictions", {"until": until}, free, {":now": now})

    def release_predictions(self, until: float, sent: str = "") -> None:
        """Release the lease on adding predictions, if none is on its way to Label Studio."""
        values: dict[str, Value] = {"until": 0.0, "sent": sent}
        self._table.update("predictions", values, "#until = :until", {":until": until})

    def predictions_sent(self) -> str:
        """Return the newest state in which every open task had its prediction; empty for none."""
        return text(self._table.read("predictions"), "sent")

    def close(self, number: int) -> None:
        """Mark a round as exported."""
        self._table.update("round", {"status": "closed"}, "#number = :number", {":number": number})
