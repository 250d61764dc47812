"""Measure the page of `octospoon ui` with a large pool: reading, memory, requests, and each view.

The pool is generated: groups of embeddings of 1,280 numbers, as EfficientNet-Lite0 makes them. The real
adapter reads it through a client in memory that answers scans in pages of 1 MB, as DynamoDB does, and counts
requests and read units. So the times lack the network. The server is the real one. The views are timed in
Chromium without a graphics card, from the click to the painted view.

    python -m bench.ui [--rows 100000] [--boxes] [--map] [--json FILE]

With `--boxes`, a detector has scored the images. `--map` computes the t-SNE map too, which takes minutes.
Linux only.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from bench.page import chromium, served
from bench.ui_table import BACKBONE, CLASSES, Table
from PIL import Image

from octospoon.adapters.dynamodb.pool.entries import DynamoEntries
from octospoon.adapters.dynamodb.pool.record import DynamoRecords
from octospoon.adapters.dynamodb.pool.report import DynamoPoolReport
from octospoon.adapters.dynamodb.pool.sampling import DynamoSampling
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Pick, Round
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.observations import Observation
from octospoon.domain.pool.images import ImageBytes
from octospoon.domain.pool.keys import image_id
from octospoon.domain.task_types.named import task_type_named
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.domain.trace import Trace, Upload
from octospoon.ui import map_file
from octospoon.ui.backend import Backend
from octospoon.ui.pages import Pages

BATCH = 50
REPEATS, FRAMES = 5, 120


def backend(table: Table, folder: Path) -> Backend:
    task_type = task_type_named(TaskTypeName.DETECTION if table.boxes else TaskTypeName.CLASSIFICATION)
    head = "" if table.boxes else "c" * 64
    pointer = ChampionPointer.of(1, BACKBONE, "a" * 64, head, tuple(f"class {i}" for i in range(CLASSES)))
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)).save(file, "JPEG")
    picks = tuple(Pick(table.key(i), f"{i:032x}", False, "margin", 0.5, i, None) for i in range(1, BATCH + 1))
    round_ = Round(1, datetime.now(UTC).isoformat(), 1, picks)
    client: Any = table

    def read(key: str) -> ImageBytes:
        return ImageBytes(file.getvalue(), f"{int(key[-12:-4]):032x}")

    def trace(key: str) -> Trace:
        etag = f"{int(key[-12:-4]):032x}"
        image = image_id(key, etag)
        return Trace(
            key, image, "scored", (Upload(image, etag, 1.0),), (), (), None, (), None, "", "", None, (), ()
        )

    storage: Any = SimpleNamespace(
        pool=DynamoSampling(client, "pool"),
        pool_report=DynamoPoolReport(client, "pool"),
        entries=DynamoEntries(client, "pool"),
        champions=SimpleNamespace(pointer=lambda: (pointer, "e"), version=lambda _version: pointer),
        observations=SimpleNamespace(read=Observation),
        rounds=SimpleNamespace(last_number=lambda: 1, read=lambda _number: round_),
        images=SimpleNamespace(read=read),
        records=DynamoRecords(client, "pool"),
        task_type=task_type,
    )
    history = ClassHistory(pointer.classes)
    unused: Any = None
    return Backend(
        name="generated",
        local=False,
        folder=folder,
        storage=storage,
        history=lambda: history,
        links=dict,
        trace=trace,
        preview=lambda: round_,
        rank=unused,
        head=unused,
        run=unused,
        dead_letters=list,
        spent=unused,
        sentence=str,
        read_cost=0.0,
    )


def peak() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def browser_cpu() -> float:
    """Return the CPU seconds of all processes below this one, which are those of the browser."""
    parents, used = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    ours = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(used[process] for process in ours - {os.getpid()})


def timed_views(pages: Pages) -> dict[str, dict[str, float]]:
    """Return the median seconds from opening each view to its painting, and the browser's CPU seconds.

    On a busy machine the seconds are many times the CPU seconds.
    """
    views = {
        "map, first visit": ("/map", ".legend"),
        "map, other visits": ("/map", ".legend"),
        "map, first by prediction": ("/map?colour=predicted", ".legend"),
        "batch": ("/batch", ".card"),
        "image": ("/image/" + "camera-1%2F2026-02%2F00000001.jpg", ".timeline"),
    }
    times: dict[str, dict[str, float]] = {}
    with served(pages) as opened, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(120_000)
        page.goto(opened + "#/image")
        page.wait_for_selector(".search")
        for name, (address, ready) in views.items():
            seconds, spent = [], browser_cpu()
            for _ in range(1 if "first" in name else REPEATS):
                page.evaluate("location.hash = '/image'")
                page.get_by_role("heading", name="Image", exact=True).wait_for()
                seconds.append(page.evaluate(_OPENED, [address, ready]) / 1000)
            times[name] = {
                "seconds": statistics.median(seconds),
                "browser_cpu_seconds": (browser_cpu() - spent) / len(seconds),
            }
        page.evaluate("location.hash = '/map'")
        page.wait_for_selector(".legend")
        spent = browser_cpu()
        frames = page.evaluate(_MOVED, FRAMES)
        times["map, a frame while it moves"] = {
            "seconds": statistics.median(frames) / 1000,
            "slowest_tenth_seconds": sorted(frames)[-FRAMES // 10] / 1000,
            "browser_cpu_seconds": (browser_cpu() - spent) / FRAMES,
        }
    return times


_OPENED = """([address, ready]) => new Promise((resolve) => {
  const began = performance.now();
  location.hash = address;
  const look = () => document.querySelector(ready)
    ? requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - began)))
    : setTimeout(look, 5);
  setTimeout(look, 5);
})"""

_MOVED = """async (frames) => {
  const times = [];
  for (let i = 0; i < frames; i++) {
    const began = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", { key: i % 2 ? "ArrowLeft" : "ArrowRight" }));
    await new Promise(requestAnimationFrame); // it draws before this
    times.push(performance.now() - began);
  }
  return times;
}"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--boxes", action="store_true")
    parser.add_argument("--map", action="store_true")
    chosen = parser.parse_args()
    print(f"load average before: {os.getloadavg()[0]:.2f}")
    if not chosen.map:
        map_file.FEWEST = chosen.rows + 1
    table = Table(chosen.rows, boxes=chosen.boxes)
    before = peak()
    with tempfile.TemporaryDirectory() as folder:
        pages = Pages(backend(table, Path(folder)), SimpleNamespace(now=time.time))
        began, spent = time.perf_counter(), time.process_time()
        pages.pool.refresh()
        result: dict[str, Any] = {
            "rows": chosen.rows,
            "snapshot_seconds": time.perf_counter() - began,
            "snapshot_cpu_seconds": time.process_time() - spent,
            "requests": table.requests,
            "read_units": table.units,
            "peak_mb": peak(),
            "before_mb": before,
        }
        assert pages.pool.progress.error == "", pages.pool.progress.error
        began = time.perf_counter()
        document = pages.document()
        assert document is not None
        result |= {"document_seconds": time.perf_counter() - began, "document_mb": len(document) / 1e6}
        result["disk_mb"] = sum(path.stat().st_size for path in Path(folder).rglob("*")) / 1e6
        result["views"] = timed_views(pages)
    print(json.dumps(result, indent=2))
    print(f"load average after: {os.getloadavg()[0]:.2f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
