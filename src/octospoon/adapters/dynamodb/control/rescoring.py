"""The progress of re-scoring the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import Item, dump_item, integer, names_of, number, text
from octospoon.adapters.dynamodb.requests import if_met
from octospoon.domain.pool.keys import SHARDS

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable
    from octospoon.adapters.dynamodb.items import Value

_FIRST_OR_WIDER = (
    "attribute_not_exists(#generation) OR #generation < :generation OR "
    "( #generation = :generation AND #oldest > :oldest )"
)


class DynamoRescoring:
    """Implements `octospoon.ports.models.Rescoring`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def begin(self, generation: int, version: int, oldest: str = "") -> None:
        """Start counting the finished shards of a generation, unless it or a later one is being counted.

        The same generation starts again if it now covers older uploads.
        """
        update = "SET #generation = :generation , #version = :version , #oldest = :oldest REMOVE #done"
        self._write(update, _FIRST_OR_WIDER, generation, dump_item({":version": version, ":oldest": oldest}))

    def done(self, generation: int, shard: int, oldest: str = "") -> None:
        """Record that a shard has no score of an earlier generation among uploads since the day `oldest`."""
        given = {":shard": {"SS": [f"{shard:02d}"]}, ":oldest": {"S": oldest}}
        self._write("ADD #done :shard", "#generation = :generation AND #oldest >= :oldest", generation, given)

    def oldest(self) -> str:
        """Return the UTC day of the oldest uploads that are counted; empty for all."""
        return text(self._table.read("rescore"), "oldest")

    def progress(self) -> tuple[int, int]:
        """Return the version of the latest generation, and its number of finished shards."""
        item = self._table.read("rescore")
        return integer(item, "version", -1), len(item["done"]["SS"]) if "done" in item else 0

    def orders(self) -> dict[int, str]:
        """Return by shard the score that its priorities hold; unknown shards are left out."""
        item = self._table.read("rescore")
        names = {shard: f"order_{shard:02d}" for shard in range(SHARDS)}
        return {shard: text(item, name) for shard, name in names.items() if name in item}

    def ordered(self, shard: int, order: str) -> None:
        """Record the score that the priorities of a shard hold."""
        name = f"order_{shard:02d}"
        another = f"attribute_not_exists(#{name}) OR #{name} <> :order"
        self._table.update("rescore", {name: order}, another, {":order": order})

    def reordering(self, shard: int, order: str, now: float) -> None:
        """Record that the priorities of a shard are being changed to this score."""
        values: dict[str, Value] = {f"order_{shard:02d}": "", f"into_{shard:02d}": order}
        at = f"at_{shard:02d}"
        # always, whatever the clock of another message said: rows are in neither order from here on
        always = f"attribute_not_exists(#{at}) OR #{at} >= :zero"
        self._table.update("rescore", {**values, at: now}, always, {":zero": 0})

    def at_work(self, order: str, since: float) -> set[int]:
        """Return the shards whose priorities were being changed to this score at `since` or later."""
        item = self._table.read("rescore")
        return {
            shard
            for shard in range(SHARDS)
            if text(item, f"into_{shard:02d}") == order and number(item, f"at_{shard:02d}") >= since
        }

    def _write(self, update: str, condition: str, generation: int, given: Item) -> bool:
        with translated("recording the progress of re-scoring"):
            return if_met(
                lambda: self._table.client.update_item(
                    TableName=self._table.table,
                    Key=dump_item({"id": "rescore"}),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names_of(f"{update} {condition}"),
                    ExpressionAttributeValues=dump_item({":generation": generation}) | given,
                )
            )
