"""A local server for re-scoring, with a pool table and all other resources, in its own process.

    python -m bench.local_pool ROWS DIMENSIONS BACKBONE MODEL_FOLDER LATENCY

LATENCY is the delay of each answer in seconds. The program prints its port and serves until its standard
input ends. Then it prints the number of re-scored rows and of writes, the mean number of reads and of index
entries for each row, the number of requests for images, and its CPU seconds.

Each row can be selected, was uploaded on one of the last 30 days, and has a score of generation 0. The
embeddings repeat after 4,096 rows. The server answers queries of the indexes by_arrival and by_sampling_key,
the latter with its filter on the generation. It answers BatchGetItem and batches of PartiQL's UPDATE. An
UPDATE changes a row only if etag, state and generation meet its WHERE clause. The server stores only the new
generation. It answers all other calls with an empty object, such as those to the control table.

Compared with DynamoDB, it has no TLS, no network and no writes to the indexes.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.local_aws import ARTIFACTS, IMAGES, contents, json_answer, serve_until_told, stored

from octospoon.domain.pool.keys import SHARDS, day, day_before, sampling_key, shard

if TYPE_CHECKING:
    import socket

    import numpy.typing as npt

DIFFERENT = 4096
DAYS = 30
ETAG = "e" * 32
EVEN = base64.b64encode(np.full(10, 0.1, "<f2").tobytes()).decode()
_NAMES = re.compile(r'"?(\w+)"? ?(<=|=) ?\?')
_OPERATION = re.compile(rb"x-amz-target: *\w+\.(\w+)", re.IGNORECASE)


class Rows:
    """The rows of the pool, and the counts of reads and writes."""

    def __init__(self, size: int, dimensions: int, backbone: str) -> None:
        self.keys = [f"photos/{i:08d}.jpg" for i in range(size)]
        self.generations = np.zeros(size, np.int64)
        self.writes = self.reads = self.entries = 0
        self._numbers = np.array([sampling_key(key) for key in self.keys])
        shards = np.array([shard(key) for key in self.keys])
        today, ages = day(time.time()), np.arange(size) % DAYS
        self._days = [day_before(today, age) for age in range(DAYS)]
        self._order = {f"{number:02d}": self._sorted(shards == number) for number in range(SHARDS)}
        self._order |= {
            f"{self._days[age]}/{number:02d}": self._sorted((shards == number) & (ages == age))
            for number in range(SHARDS)
            for age in range(DAYS)
        }
        vectors = np.random.default_rng(0).standard_normal((min(size, DIFFERENT), dimensions))
        self._vectors = [base64.b64encode(vector.astype("<f2").tobytes()).decode() for vector in vectors]
        self._backbone = backbone
        self._none = np.zeros(0, np.int64)

    def query(self, request: dict[str, Any]) -> dict[str, Any]:
        given = request["ExpressionAttributeValues"]
        order = self._order.get(given[":arrival" if ":arrival" in given else ":shard"]["S"], self._none)
        numbers = self._numbers[order]
        first, last = (float(given[name]["N"]) for name in (":first", ":last"))
        positions = order[np.searchsorted(numbers, first) : np.searchsorted(numbers, last, side="right")]
        page = positions[: request["Limit"]]
        self.entries += len(page)
        items = [self._small(i) for i in page.tolist()]
        more = {"LastEvaluatedKey": items[-1]} if len(page) < len(positions) else {}
        if ":generation" in given:
            items = [
                items[i] for i in np.flatnonzero(self.generations[page] < int(given[":generation"]["N"]))
            ]
        return {"Items": items, "Count": len(items)} | more

    def _sorted(self, members: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        positions = np.flatnonzero(members)
        return positions[np.argsort(self._numbers[positions])]

    def _small(self, i: int) -> dict[str, Any]:
        return {"key": {"S": self.keys[i]}, "sampling_key": {"N": repr(float(self._numbers[i]))}}

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        ((table, requested),) = request["RequestItems"].items()
        names = requested.get("ExpressionAttributeNames", {}).values()
        items = [self._item(_number(entry["key"]["S"])) for entry in requested["Keys"]]
        self.reads += len(items)
        if names:
            items = [{name: item[name] for name in names if name in item} for item in items]
        return {"Responses": {table: items}, "UnprocessedKeys": {}}

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        responses: list[dict[str, Any]] = []
        for statement in request["Statements"]:
            if self._updated(statement["Statement"], statement["Parameters"]):
                responses.append({"TableName": "pool"})
            else:
                responses.append({"Error": {"Code": "ConditionalCheckFailed", "Message": "not as wanted"}})
        return {"Responses": responses}

    def _updated(self, statement: str, parameters: list[dict[str, str]]) -> bool:
        position = statement.index(" WHERE ")
        sets = dict(zip(_names(statement[:position]), parameters, strict=False))
        condition = dict(zip(_names(statement[position:]), parameters[len(sets) :], strict=True))
        i = _number(condition["key"]["S"])
        fits = condition["etag"]["S"] == ETAG and condition["state"]["S"] == "scored"
        if not fits or self.generations[i] > int(condition["generation"]["N"]):
            return False
        self.generations[i] = int(sets["generation"]["N"])
        self.writes += 1
        return True

    def _item(self, i: int) -> dict[str, Any]:
        score = {"N": "0.123456789"}
        number = f"{shard(self.keys[i]):02d}"
        return {
            "key": {"S": self.keys[i]},
            "state": {"S": "scored"},
            "etag": {"S": ETAG},
            "sequencer": {"S": "0" * 32},
            "size": {"N": "100000"},
            "arrival": {"S": f"{self._days[i % DAYS]}/{number}"},
            "scored_at": {"N": "1700000000.123456"},
            "model_version": {"N": "0"},
            "generation": {"N": str(self.generations[i])},
            "backbone": {"S": self._backbone},
            "embedding": {"B": self._vectors[i % len(self._vectors)]},
            "probabilities": {"B": EVEN},
            "least_confidence": score,
            "margin": score,
            "entropy": score,
            "confidence": score,
            "top_class": {"N": "3"},
            "shard": {"S": number},
            "sampling_key": {"N": repr(float(self._numbers[i]))},
            "priority_shard": {"S": number},
            "priority": score,
        }


_known: dict[str, list[str]] = {}


def _names(part: str) -> list[str]:
    if part not in _known:
        _known[part] = [name for name, _ in _NAMES.findall(part)]
    return _known[part]


def _number(key: str) -> int:
    return int(key[-12:-4])


@dataclass
class Answers:
    """Answers requests to S3 and DynamoDB."""

    rows: Rows
    models: dict[str, bytes]
    latency: float
    pictures: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def to(self, connection: socket.socket, head: bytes, body: bytes) -> None:
        method, target, _ = head.split(b" ", 2)
        time.sleep(self.latency)
        if method == b"POST":
            (operation,) = _OPERATION.findall(head)
            with self.lock:
                answer = self._called(operation.decode(), json.loads(body))
            return connection.sendall(json_answer(answer))
        bucket, _, key = target.decode().partition("?")[0].lstrip("/").partition("/")
        self.pictures += bucket == IMAGES
        return connection.sendall(stored(self.models if bucket == ARTIFACTS else {}, key, head))

    def _called(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        calls = {
            "Query": self.rows.query,
            "BatchGetItem": self.rows.read,
            "BatchExecuteStatement": self.rows.update,
        }
        return calls[operation](request) if operation in calls else {}


def main() -> None:
    size, dimensions, backbone, models, latency = sys.argv[1:]
    rows = Rows(int(size), int(dimensions), backbone)
    answers = Answers(rows, contents(Path(models)), float(latency))
    serve_until_told(answers)
    report: dict[str, float] = {
        "fresh": int((rows.generations > 0).sum()),
        "rows": rows.writes,
        "pictures": answers.pictures,
    }
    report |= {"reads": rows.reads / len(rows.keys), "entries": rows.entries / len(rows.keys)}
    print(json.dumps(report | {"cpu": time.process_time()}))


if __name__ == "__main__":
    main()
