"""The progress of re-scoring the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import Item, dump_item, integer, names_of, text
from octospoon.adapters.dynamodb.requests import if_met
from octospoon.domain.pool.keys import SHARDS

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable

_FIRST_OR_WIDER = (
    "attribute_not_exists(#generation) OR #generation < :generation OR "
    "( #generation = :generation AND #oldest > :oldest )"
)


class DynamoRescoring:
    """Implements `octospoon.ports.models.Rescoring`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def begin(self, generation: int, version: int, oldest: str = "") -> None:
        """Start counting for a version, unless this generation or a later one is being counted already.

        What goes back further than what is being counted starts the count again.
        """
        update = "SET #generation = :generation , #version = :version , #oldest = :oldest REMOVE #done"
        self._write(update, _FIRST_OR_WIDER, generation, dump_item({":version": version, ":oldest": oldest}))

    def done(self, generation: int, shard: int, oldest: str = "") -> None:
        """Record that one shard has no score of an earlier generation among the uploads from a day on."""
        given = {":shard": {"SS": [f"{shard:02d}"]}, ":oldest": {"S": oldest}}
        self._write("ADD #done :shard", "#generation = :generation AND #oldest >= :oldest", generation, given)

    def oldest(self) -> str:
        """Return the first day of the uploads that are counted, empty for all."""
        return text(self._table.read("rescore"), "oldest")

    def progress(self) -> tuple[int, int]:
        """Return the version of the latest generation, and how many shards it has gone through."""
        item = self._table.read("rescore")
        return integer(item, "version", -1), len(item["done"]["SS"]) if "done" in item else 0

    def orders(self) -> dict[int, str]:
        """Return which stored score the priorities of each shard are; unknown shards are missing."""
        item = self._table.read("rescore")
        names = {shard: f"order_{shard:02d}" for shard in range(SHARDS)}
        return {shard: text(item, name) for shard, name in names.items() if name in item}

    def ordered(self, shard: int, order: str) -> None:
        """Record which stored score the priorities of one shard are; empty while they are being changed."""
        name = f"order_{shard:02d}"
        another = f"attribute_not_exists(#{name}) OR #{name} <> :order"
        self._table.update("rescore", {name: order}, another, {":order": order})

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
