"""Measure a cold start of the scoring function, from the start of the process to the handler's first row.

The built artefact (`make build`) starts as on Lambda, with only its own folder on the path. The local server
of bench/local_aws.py stands in for S3 and DynamoDB. The function is ready when the use case is wired and the
model has been fetched, verified, opened and tried.

- The bare script imports numpy, onnxruntime, Pillow and boto3 from the same artefact, opens a session on the
  same file and creates the two clients.
- The artefact without bytecode shows how much shipping bytecode gains.

Figures are milliseconds of CPU (and wall) time since the start of the process, medians over all starts. The
designs run in turns. A ratio is the median over neighbouring starts, because a machine's speed varies. Run:

    python -m bench.cold [--json FILE] [--starts 31] [--model small]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import cast

from bench import local_aws
from bench.pictures import generate
from bench.stacks import DEFAULT, STACKS, publish

ROOT = Path(__file__).parents[1]
ARTEFACT = ROOT / ".octospoon/build/ScoreFunction"
PYTHON = ROOT / ".octospoon/envs/lambda/bin/python"
SIDE = 224
WARM = 20

_BEGIN = """
import sys, time
sys.path.insert(0, sys.argv[1])
spent = {}
def note(name): spent[name] = [time.process_time(), time.perf_counter()]
"""
_END = """
import json, os
began = time.perf_counter() - (time.time() - float(os.environ["BENCH_BEGAN"]))
print(json.dumps({name: [cpu, wall - began] for name, (cpu, wall) in spent.items()}))
"""
BARE = f"""{_BEGIN}
import numpy, onnxruntime, PIL.Image, PIL.JpegImagePlugin, boto3
note("imports")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[2], options, providers=["CPUExecutionProvider"])
clients = boto3.client("s3"), boto3.client("dynamodb")
note("ready")
{_END}"""
OURS = f"""{_BEGIN}
import contextlib, io
import app
note("imports")
with contextlib.redirect_stdout(io.StringIO()):
    case = app.use_case()
    note("clients")
    case.model()
    note("ready")
    record = '{{"Records": [{{"s3": {{"object": {{"key": "0", "size": 1000, "sequencer": "1"}}}}}}]}}'
    context = type("Context", (), {{"get_remaining_time_in_millis": lambda _: 60_000}})()
    answer = app.handler({{"Records": [{{"messageId": "1", "body": record}}]}}, context)
    note("first row")
    for _ in range({WARM}):
        app.handler({{"Records": []}}, context)
    note("no-op batches")
assert answer == {{"batchItemFailures": []}}, answer
{_END}"""
LAMBDA = {
    "PATH": os.environ["PATH"],
    "OPENBLAS_NUM_THREADS": "1",
    "POWERTOOLS_METRICS_NAMESPACE": "octospoon",
}
"""As in the template."""
IMPORTS_SHOWN = 12
CPU, WALL = 0, 1
Spent = dict[str, tuple[float, float]]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--starts", type=int, default=31)
    parser.add_argument("--model", default="small", choices=[*STACKS, DEFAULT])
    chosen = parser.parse_args()
    if not ARTEFACT.exists():
        raise SystemExit(f"there is no {ARTEFACT}: run `make build` first")
    results = compare(chosen.starts, chosen.model)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def compare(starts: int, name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model, images = publish(folder / name, name, SIDE), generate(folder, "640x480.jpeg")
        plain = folder / "without-bytecode"
        shutil.copytree(ARTEFACT, plain, ignore=shutil.ignore_patterns("__pycache__"))
        designs = {"bare": (BARE, ARTEFACT), "ours": (OURS, ARTEFACT), "without bytecode": (OURS, plain)}
        runs: dict[str, list[Spent]] = {design: [] for design in designs}
        with local_aws.running(images, model.parent, s3_latency=0.0) as server:
            for number in range(starts + 1):
                for design, (script, artefact) in designs.items():
                    spent = start(script, artefact, model, server.environment)
                    if number:  # the first fills the disk's cache
                        runs[design].append(spent)
        return show(runs, imports(server.environment))


def start(script: str, artefact: Path, model: Path, environment: dict[str, str]) -> Spent:
    """Return CPU and wall seconds since the process began, for each recorded event."""
    began = {"BENCH_BEGAN": str(time.time())}
    with tempfile.TemporaryDirectory() as temporary:  # the folder in which downloaded models would be cached
        answer = subprocess.run(
            [str(PYTHON), "-I", "-B", "-c", script, str(artefact), str(model)],
            check=True,
            stdout=subprocess.PIPE,
            env=LAMBDA | environment | began | {"TMPDIR": temporary},
        )
    return cast("Spent", json.loads(answer.stdout.splitlines()[-1]))


def imports(environment: dict[str, str]) -> dict[str, float]:
    """Return the milliseconds that each package's own modules take to import, once."""
    script = f"{_BEGIN}\nimport contextlib, io\nimport app\napp.use_case()"
    answer = subprocess.run(
        [str(PYTHON), "-I", "-B", "-X", "importtime", "-c", script, str(ARTEFACT)],
        check=True,
        stderr=subprocess.PIPE,
        text=True,
        env=LAMBDA | environment,
    )
    milliseconds: defaultdict[str, float] = defaultdict(float)
    for line in answer.stderr.splitlines()[1:]:
        own, _, module = line.removeprefix("import time:").split("|")
        package = module.strip().partition(".")[0]
        milliseconds["standard library" if package in sys.stdlib_module_names else package] += int(own) / 1000
    return dict(sorted(milliseconds.items(), key=lambda pair: -pair[1])[:IMPORTS_SHOWN])


def show(runs: dict[str, list[Spent]], own: dict[str, float]) -> dict[str, float]:
    """Print the table; return the ratios."""
    marks = list(runs["ours"][0])
    cpu, wall = (
        {
            design: {mark: 1e3 * statistics.median(run[mark][part] for run in rows) for mark in rows[0]}
            for design, rows in runs.items()
        }
        for part in (CPU, WALL)
    )
    print("CPU (wall) milliseconds since the process began")
    print(f"{'':20}" + "".join(f"{mark:>18}" for mark in marks))
    for design in runs:
        cells = [
            f"{cpu[design][mark]:8.0f} ({wall[design][mark]:6.0f})" for mark in marks if mark in cpu[design]
        ]
        print(f"{design:20}" + "".join(f"{cell:>18}" for cell in cells))
    print("imports, ms: " + ", ".join(f"{name} {spent:.0f}" for name, spent in own.items()))
    ratios = {
        "ready_cpu_ratio": ratio(runs, "bare", CPU),
        "ready_wall_ratio": ratio(runs, "bare", WALL),
        "bytecode_cpu_ratio": ratio(runs, "without bytecode", CPU),
        "no_op_ms": (wall["ours"]["no-op batches"] - wall["ours"]["first row"]) / WARM,
    }
    print(", ".join(f"{name} {value:.2f}" for name, value in ratios.items()))
    return {name: round(value, 3) for name, value in ratios.items()}


def ratio(runs: dict[str, list[Spent]], other: str, part: int) -> float:
    pairs = zip(runs["ours"], runs[other], strict=True)
    return statistics.median(ours["ready"][part] / theirs["ready"][part] for ours, theirs in pairs)


if __name__ == "__main__":
    sys.exit(main())
