"""Compare re-scoring a pool from stored embeddings with new inference on the same images, on one core each.

Re-scoring runs the real handler of functions/rescore on its queue messages. A new head scores 768 float16
numbers for each row. bench/local_pool.py answers as DynamoDB does, in another process, and checks the
condition of each write. It counts the requests for images and the rows of the new generation.

New inference runs the real handler of functions/score with the medium model of bench/score.py. It is measured
on a sample and extrapolated. It writes its rows as new ones, which makes it look faster than it is. CPU
seconds are those of the measured process, without the servers. Linux only.

    python -m bench.rescore [--json FILE] [--rows 100000] [--pictures 640x480.jpeg ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
from bench import local_aws
from bench.pictures import generate
from bench.score import Setup
from bench.stacks import CLASSES, publish

from octospoon.domain.model_spec import CHAMPION_KEY, ChampionPointer, ModelSpec, head_key
from octospoon.training.model.model_file import head_file

PICTURES = ("640x480.jpeg", "1920x1080.jpeg")
MODEL, SIDE, DIMENSIONS = "medium", 224, 768
BACKBONE = "b" * 64
CORES = 1
ROOT = Path(__file__).parents[1]
AT_LEAST = 20


@dataclass(frozen=True)
class Spent:
    """Seconds for one row or one image."""

    wall: float
    cpu: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pictures", nargs="*", default=PICTURES, metavar="WxH.FORMAT")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--latency", type=float, default=0.02, help="latency of reading an image in seconds")
    chosen = parser.parse_args()
    chosen.cores = CORES
    print(f"load average before: {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory() as folder:
        measured = rescored(Path(folder), chosen.rows)
        ours = Spent(measured["wall"] / chosen.rows, measured["cpu"] / chosen.rows)
        print(
            f"{chosen.rows:,} rows re-scored from embeddings: images read {measured['pictures']:.0f}; "
            f"{1 / ours.wall:,.0f} rows a second, {1 / ours.cpu:,.0f} a second of CPU "
            f"({1e3 * ours.cpu:.2f} ms a row); a row is read {measured['reads']:.2f} times, index entries "
            f"{measured['entries']:.2f} times; {measured['peak_mb']:.0f} MB at most, "
            f"the server's CPU {measured['server']:.0f} s beside it"
        )
        ratios = {name: beside(Path(folder), name, ours, chosen) for name in chosen.pictures}
    if chosen.json:
        result = {"images_read": measured["pictures"], "rows_per_second": 1 / ours.wall}
        result |= {"row_ms": 1e3 * ours.cpu}
        chosen.json.write_text(json.dumps(result | {"ratios": ratios}, indent=2) + "\n")
    return 0


def rescored(folder: Path, rows: int) -> dict[str, float]:
    """Re-score a pool; return the measurements of the handler and of the server.

    Raises:
        SystemExit: the handler failed, or not every row has the new version's score.
    """
    models = folder / "new-head"
    serve_head(models)
    module = ("bench.local_pool", str(rows), str(DIMENSIONS), BACKBONE, str(models))
    with local_aws.started(*module, str(local_aws.DYNAMODB_LATENCY)) as server:
        command = [sys.executable, "-m", "bench.rescore_ours", str(CORES)]
        ran = subprocess.run(
            command, check=False, capture_output=True, cwd=ROOT, env=os.environ | server.environment
        )
    if ran.returncode or server.report["fresh"] != rows:
        raise SystemExit(
            f"{server.report} of {rows} rows:\n{ran.stdout.decode()[-2000:]}{ran.stderr.decode()[-2000:]}"
        )
    measured = cast("dict[str, float]", json.loads(ran.stdout.splitlines()[-1]))
    counts = {name: server.report[name] for name in ("pictures", "reads", "entries")}
    return measured | counts | {"server": server.report["cpu"]}


def serve_head(folder: Path) -> None:
    """Write an artifacts bucket. Its champion is version 1, with a new head for the pool's backbone."""
    classes = tuple(str(i) for i in range(CLASSES))
    weights = np.random.default_rng(1).standard_normal((DIMENSIONS, CLASSES)).astype(np.float32)
    spec = ModelSpec(classes, SIDE, SIDE, DIMENSIONS, "cover", BACKBONE, 1)
    head = head_file(weights / DIMENSIONS**0.5, np.zeros(CLASSES, np.float32), spec)
    sha = hashlib.sha256(head).hexdigest()
    pointer = ChampionPointer(1, "0" * 64, "", BACKBONE, head_key(sha), sha, classes, generation=1)
    for key, body in {CHAMPION_KEY: msgspec.json.encode(pointer), pointer.head_key: head}.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(body)


def beside(folder: Path, kind: str, ours: Spent, chosen: argparse.Namespace) -> dict[str, float]:
    """Measure inference on a sample; print the time for the whole pool; return ratios to re-scoring."""
    model = folder / kind.split(".")[0] / MODEL
    model.parent.mkdir()
    images = generate(folder, kind)
    full = Setup(images, publish(model, MODEL, SIDE), chosen).ours()
    ratios = {"wall": full["wall"] / ours.wall, "cpu": full["cpu"] / ours.cpu}
    print(
        f"full re-inference, {kind}, {MODEL} model, {chosen.batch * chosen.rounds} pictures measured: "
        f"{1 / full['wall']:,.1f} a second, {1e3 * full['cpu']:.1f} ms of CPU a picture; extrapolated to "
        f"{chosen.rows:,}: {full['wall'] * chosen.rows / 60:,.0f} minutes instead of "
        f"{ours.wall * chosen.rows / 60:,.1f}; ratio {ratios['wall']:.1f} by wall, {ratios['cpu']:.1f} by "
        f"CPU (at least {AT_LEAST} wanted)",
        flush=True,
    )
    return ratios


if __name__ == "__main__":
    sys.exit(main())
