"""Send a burst and a steady stream of images through the local stack, and compare with a simulation.

Images pass through S3 upload, bucket event, queue and the deployed scoring function to rows of the pool
table. The time of a row is its `scored_at`. A small first load calibrates the simulation (bench/queueing.py):
a cold start, an invocation and an image on this machine. Both loads are then predicted only from the times of
their uploads. The uploader, LocalStack and the functions share the machine's cores, and LocalStack has one
poller per queue. This tests that nothing is lost and that the simulation is right. It does not measure AWS.

    python -m bench.load [--json FILE] [--plot FILE] [--images 10000] [--rate 15] [--seconds 120]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench import invocations, load_plot
from bench.pictures import generate
from bench.queueing import Function, Run, simulate
from bench.stacks import build, pointer_to
from rich.console import Console
from rich.progress import track
from rich.table import Table

from octospoon.cli.datasets import digits
from octospoon.cli.local.assemble import assemble
from octospoon.cli.operations import run_now as now
from octospoon.cli.operations.queues import depth
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack import start

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.cli.deployment import Deployment

ROOT = Path(__file__).parents[1]
PICTURE, MODEL, SIDE = "640x480.jpeg", "medium", 224
UPLOADERS = 4
BATCH, WINDOW, POLLERS = 100, 0.0, 1
"""The batch of the event source in template.yaml. LocalStack has one poller, which never waits."""
CALIBRATION = 3000
TOLERANCE = 0.25


@dataclass(frozen=True)
class Phase:
    """The measurements of one load.

    Attributes:
        run: when each image's upload ended and its row was written, in seconds from the first upload.
        foretold: the simulation of the same arrivals.
        counts: the functions' own metrics, by outcome.
        lost: uploads without a row.
        invocations: the number of invocations.
    """

    run: Run
    foretold: Run
    counts: dict[str, int]
    lost: int
    invocations: int

    @property
    def figures(self) -> dict[str, float]:
        """The figures for the JSON file."""
        measured, expected = (_quantiles(values) for values in (self.run, self.foretold))
        return {
            "images": len(self.run.arrivals),
            "lost": self.lost,
            "twice": self.counts.get("scored", 0) - len(self.run.arrivals),
            "upload_seconds": float(self.run.arrivals[-1]),
            "invocations": self.invocations,
            **measured,
            **{f"foretold_{name}": value for name, value in expected.items()},
            **{f"{name}_ratio": measured[name] / expected[name] for name in ("p99", "drain")},
        }


def _quantiles(run: Run) -> dict[str, float]:
    p50, p99 = np.percentile(run.latencies, (50, 99)).tolist()
    return {"p50": p50, "p99": p99, "drain": run.drained}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="draw measured and predicted times into this PNG file")
    parser.add_argument("--images", type=int, default=10_000, help="number of images in the burst")
    parser.add_argument("--rate", type=float, default=15, help="images per second in the stream")
    parser.add_argument("--seconds", type=float, default=120, help="duration of the stream in seconds")
    chosen = parser.parse_args()
    rare = dict.fromkeys(("RankSchedule", "ReconcileSchedule", "WatchSchedule"), "rate(1 day)")
    with (
        start(ROOT, progress=print, fresh=True, name="load") as servers,
        tempfile.TemporaryDirectory() as folder,
    ):
        stack = assemble(servers, digits.CLASSES, print, rare)
        load = Load(stack.deployment, generate(Path(folder), PICTURE))
        load.serve(build(MODEL, SIDE))
        phases, memory = load.run(chosen)
        stack.label_studio.close()
    return report(phases, memory, chosen)


class Load:
    """Loads on one stack, and the cost of scoring there."""

    def __init__(self, deployment: Deployment, pictures: Path) -> None:
        self.deployment = deployment
        self.bodies = [path.read_bytes() for path in sorted(pictures.iterdir())]
        self._s3, self._sqs = deployment.client("s3"), deployment.client("sqs")
        self.function, self.rate = Function(BATCH, WINDOW, 0, 0), 1.0

    def run(self, chosen: argparse.Namespace) -> tuple[dict[str, Phase], dict[str, int]]:
        """Calibrate, run both loads, invoke the other functions once; return figures and peak memory."""
        self.calibrate()
        burst = self.phase("burst", np.zeros(chosen.images))
        stream = self.phase("stream", np.arange(0, chosen.seconds, 1 / chosen.rate))
        now.rank(self.deployment)
        now.watch(self.deployment)
        now.reconcile(self.deployment)
        return {"burst": burst, "stream": stream}, invocations.peak_memory(self.deployment)

    def serve(self, model: bytes) -> None:
        """Deploy a model."""
        champions = self.deployment.champions
        stored, pointer = champions.pointer(), pointer_to(model, 0)
        self._s3.put_object(Bucket=self.deployment.outputs["ArtifactsBucket"], Key=pointer.key, Body=model)
        if not champions.promote(pointer.after(stored[0] if stored else None), stored[1] if stored else None):
            raise SystemExit("another model was put into service meanwhile: run this again")

    def calibrate(self) -> None:
        """Measure a cold start, an invocation and an image, with and without concurrent uploads."""
        began = time.time()
        for number, images in enumerate((1, 1, 1, 5, 5, 5, 20, 20, 20)):
            self._upload(f"calibration-{number}", np.zeros(images))
            self._wait()
        quiet = [call for call in invocations.of_score(self.deployment, began) if call.images]
        began = time.time()
        uploaded = self._upload("calibration", np.zeros(CALIBRATION))
        self._wait()
        loaded = [call for call in invocations.of_score(self.deployment, began) if call.images]
        middle, last = np.median(uploaded), uploaded.max()
        beside = [call for call in loaded if middle <= call.start < last]  # by then, batches are full
        after = [call for call in loaded if call.start >= last]
        fixed, per_image = _fit([*quiet[1:], *after])
        self.rate = CALIBRATION / float(np.ptp(uploaded))
        self.function = Function(
            BATCH,
            WINDOW,
            fixed,
            per_image,
            sum(call.seconds - fixed for call in beside) / sum(call.images for call in beside),
            cold=max(call.cold for call in invocations.of_score(self.deployment, 0)),
            pause=invocations.pause(after),
            pause_busy=invocations.pause(beside),
            pollers=POLLERS,
            limit=POLLERS,
        )
        print(f"beside {self.rate:.0f} uploads a second: {self.function}")

    def phase(self, name: str, due: npt.NDArray[np.float64]) -> Phase:
        """Upload an image at each given second and wait until all are scored; return the measurements."""
        began = time.time()
        arrivals = self._upload(name, due)
        self._wait()
        rows = self._rows(name)
        order = np.argsort(arrivals)
        first = float(arrivals.min())
        done = np.array([rows.get(key_of(name, i), np.nan) for i in order])
        ran = invocations.of_score(self.deployment, began)
        counts = sum((Counter(call.counts) for call in ran), Counter[str]())
        scored = ~np.isnan(done)
        run = Run(arrivals[order][scored] - first, done[scored] - first)
        foretold = simulate(run.arrivals, self._beside(len(due) / run.arrivals[-1]))
        return Phase(run, foretold, dict(counts), int((~scored).sum()), len(ran))

    def _beside(self, rate: float) -> Function:
        """Return the function slowed down by concurrent uploads, each of which takes CPU time from it."""
        f, part = self.function, rate / self.rate
        assert f.each_busy is not None
        assert f.pause_busy is not None
        return replace(
            f,
            each_busy=f.each + part * (f.each_busy - f.each),
            pause_busy=f.pause + part * (f.pause_busy - f.pause),
        )

    def _upload(self, name: str, due: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Upload an image at each given second or as soon after as possible; return the actual times."""
        began = time.time()
        bucket = self.deployment.outputs["ImagesBucket"]

        def put(number: int) -> float:
            time.sleep(max(0.0, began + due[number] - time.time()))
            body = self.bodies[number % len(self.bodies)]
            self._s3.put_object(Bucket=bucket, Key=key_of(name, number), Body=body)
            return time.time()

        with ThreadPoolExecutor(UPLOADERS) as threads:
            ended = threads.map(put, range(len(due)))
            return np.array(list(track(ended, f"Uploading: {name}", len(due), transient=True)))

    def _wait(self) -> None:
        url = self.deployment.outputs["UploadsQueueUrl"]
        wait_for(
            "the queue to be empty",
            lambda: None if sum(depth(self._sqs, url)) else True,
            seconds=1800,
            interval=1,
        )

    def _rows(self, name: str) -> dict[str, float]:
        """Return the time at which each image of a load was scored, by key."""
        pages = self.deployment.client("dynamodb").get_paginator("scan")
        expression: dict[str, Any] = {
            "TableName": self.deployment.outputs["PoolTable"],
            "ProjectionExpression": "#key, scored_at",
            "ExpressionAttributeNames": {"#key": "key"},
        }
        scored = {}
        for page in pages.paginate(**expression):
            for item in page["Items"]:
                if item["key"]["S"].startswith(f"{name}/"):
                    scored[item["key"]["S"]] = float(item["scored_at"]["N"])
        return scored


def key_of(name: str, number: int) -> str:
    return f"{name}/{number:06}.jpeg"


def _fit(ran: Sequence[invocations.Invocation]) -> tuple[float, float]:
    """Return the seconds for an invocation and for each image in it, fitted by least squares."""
    images = np.array([call.images for call in ran], np.float64)
    fixed, per_image = np.polynomial.polynomial.polyfit(images, [call.seconds for call in ran], 1)
    return max(float(fixed), 0.0), float(per_image)


def report(phases: dict[str, Phase], memory: dict[str, int], chosen: argparse.Namespace) -> int:
    """Print the table, write figures and plot; return 1 if an image was lost or scored twice."""
    figures = {name: phase.figures for name, phase in phases.items()}
    table = Table("", *figures, title="upload to score row", title_justify="left")
    for name in next(iter(figures.values())):
        table.add_row(
            name.replace("_", " "), *(f"{row[name]:,.2f}".removesuffix(".00") for row in figures.values())
        )
    Console().print(table)
    print("peak memory in MB: " + ", ".join(f"{name} {peak}" for name, peak in memory.items()))
    far = [
        f"{name} {what} {row[f'{what}_ratio']:.2f}"
        for name, row in figures.items()
        for what in ("p99", "drain")
        if abs(row[f"{what}_ratio"] - 1) > TOLERANCE
    ]
    print(f"measured over predicted: {'more than 25 % off: ' + ', '.join(far) if far else 'all within 25 %'}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures | {"memory_mb": memory}, indent=2) + "\n")
    if chosen.plot:
        load_plot.draw({name: (phase.run, phase.foretold) for name, phase in phases.items()}, chosen.plot)
    return int(any(row["lost"] or row["twice"] for row in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
