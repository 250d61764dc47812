"""The scoring path against its floor and against a naive design, on generated pictures.

Ours is the real `ScoreUploads` with the real decoder and scorer, from a store that sleeps before each answer
to a pool in memory. The floor is the CPU time of decode and inference, on one thread in the same process
and between our own rounds, over the cores. Bare is what as many threads take for decode and inference of
the same pictures from memory, without a pipeline: on a busy machine it says what the cores gave. The naive
design reads, decodes in full and predicts one picture after another with onnxruntime's defaults. Every
configuration has a process of its own. Needs Linux. Run:

    python -m bench.score [--json FILE] [--pictures 1920x1080.jpeg ...] [--models medium ...] [--cores 2]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import onnxruntime as ort
from PIL import Image

from octospoon.adapters.onnx_scorer import OnnxScorer
from octospoon.domain.entities import ImageRef
from octospoon.domain.model_spec import EMBEDDING, INPUT, PROBABILITIES
from octospoon.usecases.score import Outcome, ScoreUploads

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.entities import Prediction
    from octospoon.ports import Pool

PICTURES = ("640x480.jpeg", "640x480.png", "1920x1080.jpeg", "1920x1080.png", "4032x3024.jpeg")
MODELS = ("small", "medium", "large")
SIDE = 224
DIFFERENT = 4
MEASURED_ALONE = 8
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Setup:
    """One configuration, as its process gets it."""

    pictures: str
    model: str
    cores: int
    batch: int
    rounds: int
    latency: float

    def files(self) -> list[bytes]:
        found = [path.read_bytes() for path in sorted(Path(self.pictures).iterdir())]
        return [found[i % len(found)] for i in range(self.batch)]


@dataclass(frozen=True)
class SlowStore:
    """Answers after a while, as S3 does; each answer is memory of its own, as from a socket."""

    files: list[bytes]
    latency: float

    def read(self, key: str) -> tuple[bytes, str]:
        time.sleep(self.latency)
        return bytes(memoryview(self.files[int(key)])), "etag"

    def uri(self, key: str) -> str:
        return key


@dataclass
class MemoryPool:
    """Takes scores."""

    rows: dict[str, Prediction] = field(default_factory=dict)

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        self.rows[image.key] = prediction
        return True


@dataclass(frozen=True)
class Spent:
    """Seconds for one picture."""

    wall: float
    cpu: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", nargs="*", default=PICTURES, metavar="WxH.FORMAT")
    parser.add_argument("--models", nargs="*", default=MODELS, choices=MODELS)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=float, default=0.02, help="of one read, in seconds")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        design, setup = chosen.child
        print(json.dumps({"ours": ours, "naive": naive}[design](Setup(**json.loads(setup)))))
        return 0
    found = compare(chosen)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def compare(chosen: argparse.Namespace) -> dict[str, dict[str, float]]:
    from bench.stacks import build  # here, since onnx would count in every child's memory

    print(f"batch of {chosen.batch}, {1e3 * chosen.latency:.0f} ms a read, {chosen.cores} cores; ms an image")
    print(f"load average before: {os.getloadavg()[0]:.2f}")
    print(
        f"{'picture':16}{'model':8}{'decode':>8}{'predict':>8}{'floor':>8}{'bare':>8}{'wall':>8}{'cpu':>8}{'naive':>8}"
        f"{'over floor':>12}{'naive ratio':>12}{'cpu/work':>10}{'peak MB':>9}{'load':>6}"
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for picture in chosen.pictures:
            pictures = generate(Path(folder), picture)
            for model in chosen.models:
                path = Path(folder) / f"{model}.onnx"
                path.write_bytes(build(model, SIDE))
                setup = Setup(
                    str(pictures), str(path), chosen.cores, chosen.batch, chosen.rounds, chosen.latency
                )
                found[f"{picture}/{model}"] = one(picture, model, setup)
    return found


def one(picture: str, model: str, setup: Setup) -> dict[str, float]:
    """Measure one configuration and print its row."""
    here, there = child("ours", setup), child("naive", setup)
    work = here["decode"] + here["predict"]
    floor = work / setup.cores
    ratios = {
        "over_floor": here["wall"] / floor,
        "naive_ratio": there["wall"] / here["wall"],
        "cpu_over_work": here["cpu"] / work,
        "peak_mb": here["peak_mb"],
    }
    times = (here["decode"], here["predict"], floor, here["bare"], here["wall"], here["cpu"], there["wall"])
    print(
        f"{picture:16}{model:8}{''.join(f'{1e3 * value:8.1f}' for value in times)}"
        f"{ratios['over_floor']:12.2f}{ratios['naive_ratio']:12.1f}{ratios['cpu_over_work']:10.2f}"
        f"{ratios['peak_mb']:9.0f}{os.getloadavg()[0]:6.1f}",
        flush=True,
    )
    return {name: round(value, 3) for name, value in ratios.items()}


def child(design: str, setup: Setup) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.score", "--child", design, json.dumps(vars(setup))]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    return cast("dict[str, float]", json.loads(answer.stdout))


def ours(setup: Setup) -> dict[str, float]:
    """Measure the real path and, between its rounds, decode and inference alone."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: setup.cores])
    files, scorer = setup.files(), OnnxScorer(Path(setup.model))
    store = SlowStore(files, setup.latency)
    score = ScoreUploads(store, cast("Pool", MemoryPool()), lambda: scorer, workers=setup.cores)
    uploads = [ImageRef(str(i), "etag", "1", len(data)) for i, data in enumerate(files)]
    whole, bare, decode, predict = [], [], [], []
    for number in range(setup.rounds + 1):
        spent = measured(score, uploads)
        by_threads = measured_bare(scorer, files, setup.cores)
        alone = [measured_alone(scorer, data) for data in files[:MEASURED_ALONE]]
        if number:  # the first round warms up
            whole.append(spent)
            bare.append(by_threads)
            decode.append(statistics.mean(pair[0] for pair in alone))
            predict.append(statistics.mean(pair[1] for pair in alone))
    return {
        "wall": statistics.median(spent.wall for spent in whole),
        "bare": statistics.median(bare),
        "cpu": statistics.median(spent.cpu for spent in whole),
        "decode": statistics.median(decode),
        "predict": statistics.median(predict),
        "peak_mb": peak_mb(),
    }


def measured(score: ScoreUploads, uploads: list[ImageRef]) -> Spent:
    wall, cpu = time.perf_counter(), time.process_time()
    outcomes = score(uploads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if outcomes != [Outcome.SCORED] * len(uploads):
        raise SystemExit(f"not every picture was scored: {outcomes}")
    return Spent(wall / len(uploads), cpu / len(uploads))


def measured_bare(scorer: OnnxScorer, files: list[bytes], cores: int) -> float:
    """Return the seconds for one picture of threads that only decode and predict."""
    began = time.perf_counter()
    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(lambda data: scorer.predict(scorer.preprocess(data)[np.newaxis]), files))
    return (time.perf_counter() - began) / len(files)


def measured_alone(scorer: OnnxScorer, data: bytes) -> tuple[float, float]:
    """Return the CPU seconds of decode and of inference on this thread."""
    began = time.thread_time()
    pixels = scorer.preprocess(data)
    decoded = time.thread_time()
    scorer.predict(pixels[np.newaxis])
    return decoded - began, time.thread_time() - decoded


def naive(setup: Setup) -> dict[str, float]:
    """Measure what one writes first: one picture after another, decoded in full, onnxruntime as it comes."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: setup.cores])
    files = setup.files()
    store, session, rows = SlowStore(files, setup.latency), ort.InferenceSession(setup.model), {}
    walls = []
    for i in range(MEASURED_ALONE + 1):
        began = time.perf_counter()
        data, _ = store.read(str(i % len(files)))
        rows[i] = naive_prediction(session, data)
        walls.append(time.perf_counter() - began)
    return {"wall": statistics.mean(walls[1:])}


def naive_prediction(session: ort.InferenceSession, data: bytes) -> list[npt.NDArray[np.float32]]:
    with Image.open(io.BytesIO(data)) as image:
        scale = SIDE / min(image.size)
        small = image.convert("RGB").resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
        )
    left, top = (small.width - SIDE) // 2, (small.height - SIDE) // 2
    pixels = np.asarray(small.crop((left, top, left + SIDE, top + SIDE)))
    found = session.run([EMBEDDING, PROBABILITIES], {INPUT: pixels[np.newaxis]})
    return cast("list[npt.NDArray[np.float32]]", found)


def peak_mb() -> float:
    """Return the peak of this process' resident memory, which getrusage mixes with its parent's."""
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


def generate(folder: Path, picture: str) -> Path:
    """Write some pictures of about a photograph's detail into a folder of their own; return it."""
    size, kind = picture.split(".")
    width, height = (int(side) for side in size.split("x"))
    target = folder / picture
    target.mkdir()
    for seed in range(DIFFERENT):
        generator = np.random.default_rng(seed)
        coarse = Image.fromarray(generator.integers(0, 256, (height // 60, width // 60, 3), np.uint8))
        grain = Image.fromarray(generator.integers(0, 256, (height // 3, width // 3, 3), np.uint8))
        image = Image.blend(
            coarse.resize((width, height), Image.Resampling.BICUBIC),
            grain.resize((width, height), Image.Resampling.BICUBIC),
            0.12,
        )
        image.save(target / f"{seed}.{kind}", quality=90)
    return target


if __name__ == "__main__":
    sys.exit(main())
