"""The progress of reading the pool's images again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import dump_item, integer, names_of
from octospoon.adapters.dynamodb.requests import if_met
from octospoon.domain.pool.keys import SHARDS
from octospoon.ports.models import ReadingState

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.control.table import ControlTable
    from octospoon.adapters.dynamodb.items import Value
    from octospoon.ports.models import ShardReading

_ID = "reading"
_SHARD = ("step", "busy", "seen", "left")
_NOT_LATER = "attribute_not_exists(#generation) OR #generation <= :generation"


class DynamoReadingProgress:
    """Implements `octospoon.ports.models.ReadingProgress`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def begin(self, generation: int, version: int, images: int) -> int:
        """Begin a run, which ends all earlier ones; return its number, 0 if a later generation has begun."""
        shards = ", ".join(f"#{name}_{shard:02d}" for shard in range(SHARDS) for name in _SHARD)
        update = (
            "SET #generation = :generation , #version = :version , #images = :images "
            f"REMOVE #done, {shards} ADD #run :one"
        )
        run = 0

        def write() -> None:
            nonlocal run
            answer = self._table.client.update_item(
                TableName=self._table.table,
                Key=dump_item({"id": _ID}),
                UpdateExpression=update,
                ConditionExpression=_NOT_LATER,
                ExpressionAttributeNames=names_of(f"{update} {_NOT_LATER}"),
                ExpressionAttributeValues=dump_item(
                    {":generation": generation, ":version": version, ":images": images, ":one": 1}
                ),
                ReturnValues="UPDATED_NEW",
            )
            run = integer(answer["Attributes"], "run")

        with translated("beginning to read images again"):
            if_met(write)
        return run

    def takes(self, shard: ShardReading, step: int, now: float, died: float) -> bool:
        """Record the progress of a shard; return whether the message of this step may work on it."""
        steps, busy = f"#step_{shard.shard:02d}", f"#busy_{shard.shard:02d}"
        condition = (
            f"#run = :run AND ( attribute_not_exists({steps}) OR {steps} < :step OR "
            f"( {steps} = :step AND {busy} < :died ) )"
        )
        values: dict[str, Value] = dict(zip(_SHARD, (step, now, shard.seen, shard.left), strict=True))
        return self._update(shard, values, condition, {":step": step, ":died": died})

    def done(self, shard: ShardReading) -> None:
        """Record that a shard is done; an older run changes nothing."""
        if self._update(shard, {"seen": shard.seen, "left": shard.left}, "#run = :run", {}):
            with translated("recording that images are read"):
                if_met(
                    lambda: self._table.client.update_item(
                        TableName=self._table.table,
                        Key=dump_item({"id": _ID}),
                        UpdateExpression="ADD #done :shard",
                        ConditionExpression="#run = :run",
                        ExpressionAttributeNames={"#done": "done", "#run": "run"},
                        ExpressionAttributeValues={
                            **dump_item({":run": shard.run}),
                            ":shard": {"SS": [f"{shard.shard:02d}"]},
                        },
                    )
                )

    def newest(self) -> ReadingState | None:
        """Return the newest run; None before the first."""
        item = self._table.read(_ID)
        if not item:
            return None
        sums = {
            name: sum(integer(item, f"{name}_{shard:02d}") for shard in range(SHARDS))
            for name in ("seen", "left")
        }
        shards = len(item["done"]["SS"]) if "done" in item else 0
        run, version, images = (integer(item, name) for name in ("run", "version", "images"))
        return ReadingState(run, version, images, shards, **sums)

    def _update(
        self, shard: ShardReading, values: dict[str, Value], condition: str, given: dict[str, Value]
    ) -> bool:
        named = {f"{name}_{shard.shard:02d}": value for name, value in values.items()}
        return self._table.update(_ID, named, condition, {":run": shard.run, **given})
