"""Measure the real scoring handler; bench/score.py starts this process while its server runs.

python -m bench.score_ours PICTURES CORES BATCH ROUNDS
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from bench.local_aws import TABLE

from octospoon.adapters.dynamodb.label_counter import LabelCounter
from octospoon.adapters.dynamodb.pool.scores import Order
from octospoon.adapters.dynamodb.pool.scoring import DynamoScoringPool
from octospoon.domain.pool.framing import WHOLE
from octospoon.domain.pool.images import ImageRef, ScoredImage
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection.task_type import DETECTION
from octospoon.runtime.aws import dynamodb
from octospoon.runtime.wiring import storage
from octospoon.usecases.scoring.predict_image import predict_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from octospoon.adapters.onnx.scorer import OnnxScorer
    from octospoon.domain.task_types.task_type import TaskType

FUNCTIONS = Path(__file__).parents[1] / "functions"
MEASURED_ALONE = 8
WRITTEN = 500
KIND = "BENCH_TASK_TYPE"
"""The variable that names the kind of label."""


@dataclass(frozen=True)
class Spent:
    """Seconds for one image."""

    wall: float
    cpu: float


def load_app(function: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("app", FUNCTIONS / function / "app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(files: list[bytes], number: int) -> dict[str, Any]:
    """Return the SQS batch with S3's events for these uploads, each with its own key."""
    objects = [
        {"key": f"round-{number}/{i}", "size": len(data), "eTag": "e", "sequencer": f"{number:016X}"}
        for i, data in enumerate(files)
    ]
    bodies = [json.dumps({"Records": [{"s3": {"object": item}}]}) for item in objects]
    return {"Records": [{"messageId": str(i), "body": body} for i, body in enumerate(bodies)]}


class Context:
    """The context of an invocation without a time limit."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


def measured(handler: Callable[..., dict[str, Any]], batch: dict[str, Any]) -> Spent:
    count = len(batch["Records"])
    wall, cpu = time.perf_counter(), time.process_time()
    answer = handler(batch, Context)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if answer["batchItemFailures"]:
        raise SystemExit(f"not every picture was scored: {answer}")
    return Spent(wall / count, cpu / count)


def measured_bare(scorer: OnnxScorer, files: list[bytes], cores: int) -> float:
    """Return the seconds for one image in threads that only decode and predict."""
    began = time.perf_counter()
    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(lambda data: predict_image(scorer, scorer.preprocess(data)), files))
    return (time.perf_counter() - began) / len(files)


def measured_alone(scorer: OnnxScorer, files: list[bytes]) -> tuple[float, float]:
    """Return the CPU seconds of decoding and of inference for one image, on this thread."""
    decode = predict = 0.0
    for data in files:
        began = time.thread_time()
        framed = scorer.preprocess(data)
        decoded = time.thread_time()
        predict_image(scorer, framed)
        decode, predict = decode + decoded - began, predict + time.thread_time() - decoded
    return decode / len(files), predict / len(files)


def measured_write(scorer: OnnxScorer, kind: TaskType) -> float:
    """Return the CPU seconds of writing one row, from the prediction to the answer."""
    images = np.zeros((1, scorer.spec.height, scorer.spec.width, 3), np.uint8)
    (prediction,) = scorer.predict(images, [WHOLE])
    pool = DynamoScoringPool(
        dynamodb(), TABLE, Order("margin_diverse", kind), time.time, LabelCounter(dynamodb(), TABLE)
    )
    rows = [ScoredImage(ImageRef(f"row/{i}", "e" * 32, "1" * 16, 1), prediction) for i in range(WRITTEN)]
    began = time.process_time()
    if len(pool.insert_scores(rows)) != len(rows):
        raise SystemExit("not every row was written")
    return (time.process_time() - began) / len(rows)


def peak_mb() -> float:
    """Return the peak of this process' resident memory, which getrusage mixes with its parent's."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    folder, *numbers = sys.argv[1:]
    cores, batch, rounds = (int(number) for number in numbers)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    contents = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    files = [contents[i % len(contents)] for i in range(batch)]
    boxes = os.environ.get(KIND) == DETECTION.name
    kind = cast("TaskType", DETECTION if boxes else CLASSIFICATION)
    # no setting names detection
    storage.task_type_named = lambda name: kind  # type: ignore[attr-defined]  # noqa: ARG005
    app = load_app("score")
    scorer = app.use_case().model()
    rows = []
    with contextlib.redirect_stdout(sys.stderr):  # where the handler's metrics go
        for number in range(rounds + 1):
            spent = measured(app.handler, event(files, number))
            decode, predict = measured_alone(scorer, files[:MEASURED_ALONE])
            rows.append(
                {
                    "wall": spent.wall,
                    "cpu": spent.cpu,
                    "decode": decode,
                    "predict": predict,
                    "floor": (decode + predict) / cores,
                    "bare": measured_bare(scorer, files, cores),
                    "over_floor": spent.wall * cores / (decode + predict),
                    "cpu_over_work": spent.cpu / (decode + predict),
                }
            )
    del rows[0]  # warms up
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    print(json.dumps(medians | {"peak_mb": peak_mb(), "write": measured_write(scorer, kind)}))


if __name__ == "__main__":
    main()
