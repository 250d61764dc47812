"""Measure what importing labels costs without AWS: seconds and peak memory by format.

    python -m bench.label_import [ROWS]

Each format is read in a process of its own, by the same code as `octospoon labels import`. The pool is a
stand-in that has every image and keeps nothing. So the figures hold the reading, sorting and deciding. The
last column counts the requests that the real adapter would make.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from octospoon.cli.operations import label_import, run_now
from octospoon.cli.operations.label_import import Options
from octospoon.domain.labelling.tasks import LabelState
from octospoon.domain.pool.images import State
from octospoon.usecases.reconcile_report import ReconcileReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

CLASSES = ("cat", "dog", "fox", "owl")
FORMATS = {"csv": "labels.csv", "manifest": "labels.jsonl", "coco": "coco.json", "label-studio": "tasks.json"}
_READS, _WRITES = 100, 49


class Pool:
    """A pool that contains every image, without a label, and discards writes."""

    def __init__(self) -> None:
        self.stored = 0

    def states(self, keys: Sequence[str]) -> dict[str, LabelState]:
        return {key: LabelState(key, "0" * 32, State.SCORED) for key in keys}

    def store(self, labels: Sequence[tuple[LabelState, str]]) -> set[str]:
        self.stored += len(labels)
        return {state.key for state, _ in labels}


def key(number: int) -> str:
    return f"photos/2026/{number * 7919 % 1000:03d}/picture {number:07d}.jpg"


def write(file: TextIO, form: str, rows: int) -> None:
    if form == "csv":
        file.write("key,label\n")
        file.writelines(f"{key(i)},{CLASSES[i % 4]}\n" for i in range(rows))
    elif form == "manifest":
        file.writelines(f'{{"key": "{key(i)}", "label": "{CLASSES[i % 4]}"}}\n' for i in range(rows))
    elif form == "coco":
        names = [{"id": i, "name": name} for i, name in enumerate(CLASSES)]
        file.write(f'{{"categories": {json.dumps(names)}, "annotations": [\n')
        box = '"bbox": [1.0, 2.0, 30.0, 40.0], "area": 1200.0, "iscrowd": 0'
        file.writelines(
            f'{"," * (i > 0)}{{"id": {i}, "image_id": {i}, "category_id": {i % 4}, {box}}}\n'
            for i in range(rows)
        )
        file.write('], "images": [\n')
        file.writelines(f'{"," * (i > 0)}{{"id": {i}, "file_name": "{key(i)}"}}\n' for i in range(rows))
        file.write("]}\n")
    else:
        file.write("[\n")
        file.writelines(f"{',' * (i > 0)}{_task(i)}\n" for i in range(rows))
        file.write("]\n")


def _task(i: int) -> str:
    region = {"from_name": "label", "to_name": "image", "type": "choices"}
    result = [region | {"value": {"choices": [CLASSES[i % 4]]}}]
    return json.dumps({"id": i, "data": {"image": key(i)}, "annotations": [{"id": i, "result": result}]})


def measure(source: str) -> dict[str, Any]:
    """Import one file; return seconds, and the peak memory of this process in MB."""
    pool = Pool()
    deployment: Any = SimpleNamespace(
        outputs={"ImagesBucket": "images"}, classes=CLASSES, imported_labels=pool, client=lambda _: None
    )
    run_now.reconcile = lambda *_, **__: ReconcileReport()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    result = label_import.import_labels(deployment, Path(source), Options())
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert result.stored == pool.stored, result
    return {"stored": result.stored, "seconds": seconds, "before": before, "peak": peak}


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"{'format':14}{'rows':>10}{'MB':>7}{'seconds':>9}{'MB before':>11}{'peak MB':>9}  requests")
    for form, name in FORMATS.items():
        with TemporaryDirectory() as folder:
            source = Path(folder) / name
            with source.open("w", encoding="utf-8") as file:
                write(file, form, rows)
            with get_context("spawn").Pool(1) as process:
                result = process.apply(measure, (str(source),))
            size = source.stat().st_size / 1e6
        requests = f"{rows // _READS:,} reads, {rows // _WRITES:,} transactions"
        figures = f"{result['seconds']:9.1f}{result['before']:11.0f}{result['peak']:9.0f}"
        print(f"{form:14}{result['stored']:>10,}{size:7.0f}{figures}  {requests}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
