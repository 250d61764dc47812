"""A pool table in memory that answers reads like DynamoDB and counts their cost.

The real `DynamoRankingPool` runs on it, so that pages, merges and batches are those of the product. A test
compares its answers and costs with those of the emulator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.adapters.dynamodb.items import dump_item, pack
from octospoon.domain.pool import keys as hashes
from octospoon.domain.pool.keys import sampling_key, shard

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Item = dict[str, Any]

CLASSES, DIMENSIONS = 10, 128
_UNIT = 4096
_PROJECTED = ("key", "etag", "sampling_key", "priority", "shard", "generation", "scored_at", "arrival")


@dataclass
class Meter:
    """The number of requests, items and read capacity units."""

    requests: int = 0
    items: int = 0
    units: float = 0.0


@dataclass
class Metered:
    """A client whose reads are counted."""

    client: Any
    meter: Meter = field(default_factory=Meter)

    def query(self, **request: Any) -> Any:
        answer = self.client.query(**request, ReturnConsumedCapacity="TOTAL")
        self._count(len(answer["Items"]), [answer["ConsumedCapacity"]])
        return answer

    def batch_get_item(self, **request: Any) -> Any:
        answer = self.client.batch_get_item(**request, ReturnConsumedCapacity="TOTAL")
        self._count(sum(map(len, answer["Responses"].values())), answer["ConsumedCapacity"])
        return answer

    def _count(self, items: int, consumed: list[Any]) -> None:
        self.meter.requests += 1
        self.meter.items += items
        self.meter.units += sum(table["CapacityUnits"] for table in consumed)


class MemoryDynamo:
    """`size` scored images with random probabilities, and the two indexes over them."""

    def __init__(self, size: int) -> None:
        self.keys = [f"photos/{i:08d}.jpg" for i in range(size)]
        self._numbers = {
            "sampling_key": np.array([sampling_key(key) for key in self.keys]),
            "priority": np.random.default_rng(0).random(size),
        }
        shards = np.array([shard(key) for key in self.keys])
        self._order = {
            name: [members[np.argsort(numbers[members])] for members in _members(shards)]
            for name, numbers in self._numbers.items()
        }

    def items(self) -> Iterator[Item]:
        """Yield every item as the pool table holds it."""
        return (self._item(i) for i in range(len(self.keys)))

    def query(self, **request: Any) -> Item:
        given = request["ExpressionAttributeValues"]
        name = request["IndexName"].removeprefix("by_")
        order = self._order[name][int(given[":shard"]["S"])]
        if not request["ScanIndexForward"]:
            order = order[::-1]
        if ":first" in given:
            numbers = self._numbers[name][order]
            first = np.searchsorted(numbers, float(given[":first"]["N"]), side="left")
            order = order[first : np.searchsorted(numbers, float(given[":last"]["N"]), side="right")]
        start = request.get("ExclusiveStartKey", {}).get("position", 0)
        page = order[start : start + request["Limit"]]
        items = [self._projected(int(i)) for i in page]
        answer: Item = {"Items": items, "ConsumedCapacity": _consumed(0.5, sum(map(size_of, items)))}
        if len(page) == request["Limit"]:
            answer["LastEvaluatedKey"] = {"position": start + len(page)}
        return answer

    def batch_get_item(self, **request: Any) -> Item:
        ((table, requested),) = request["RequestItems"].items()
        items = [self._item(int(entry["key"]["S"][-12:-4])) for entry in requested["Keys"]]
        units = sum(math.ceil(size_of(item) / _UNIT) for item in items)
        return {"Responses": {table: items}, "ConsumedCapacity": [{"CapacityUnits": float(units)}]}

    def _projected(self, i: int) -> Item:
        item = self._small(i)
        return {name: item[name] for name in _PROJECTED}

    def _small(self, i: int) -> Item:
        key = self.keys[i]
        return dump_item(
            {
                "key": key,
                "etag": f"{i:032x}",
                "sampling_key": float(self._numbers["sampling_key"][i]),
                "priority": float(self._numbers["priority"][i]),
                "shard": f"{shard(key):02d}",
                "priority_shard": f"{shard(key):02d}",
                "state": "scored",
                "model_version": 1,
                "generation": 1,
                "scored_at": 1_700_000_000.123456,
                "arrival": f"2026-01-31/{shard(key):02d}",
                "backbone": "b" * 64,
            }
        )

    def _item(self, i: int) -> Item:
        rng = np.random.default_rng(i)
        vectors = {
            "embedding": pack(rng.standard_normal(DIMENSIONS, np.float32)),
            "probabilities": pack(rng.dirichlet(np.ones(CLASSES)).astype(np.float32)),
        }
        return self._small(i) | dump_item(vectors)


def _members(shards: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return [np.flatnonzero(shards == number) for number in range(hashes.SHARDS)]


def _consumed(rate: float, size: int) -> dict[str, float]:
    return {"CapacityUnits": rate * max(1, math.ceil(size / _UNIT))}


def size_of(item: Item) -> int:
    """Return an item's size in bytes as DynamoDB counts it: names and values; numbers by their digits."""
    return sum(len(name) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "N":
        digits = content.lstrip("-").replace(".", "").partition("e")[0].strip("0")
        return math.ceil(len(digits) / 2) + 1
    return len(content.encode() if isinstance(content, str) else content)
