"""Compare the scoring function with its lower bound and with simpler designs, on generated images.

Scoring runs the real handler of functions/score on SQS batches, through boto3. bench/local_aws.py answers
as S3 and DynamoDB do, with a delay. Its processor time counts for every design. Each design has its own
process.

- floor: the CPU time of decoding and inference on one thread, divided by the number of cores. It is measured
  in the same process, between the rounds of scoring.
- bare: the time for decoding and inference of the same images from memory, with as many threads and without a
  pipeline. On a busy machine it shows what the cores could give.
- over floor, cpu/work: computed for each round; the table shows the median.
- write: the CPU time of one row.
- the others are in bench/score_peers.py and use the same server.

MLflow's pyfunc runs in the Python of TRAINING_PYTHON, by default MLflow's environment. PyTorch runs in the
Python of TORCH_PYTHON. Linux only.

    python -m bench.score [--json FILE] [--pictures 1920x1080.jpeg ...] [--models medium ...] [--cores 2]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench import costs, local_aws
from bench.pictures import generate
from bench.stacks import DEFAULT, DETECTOR, STACKS, publish

PICTURES = ("640x480.jpeg", "640x480.png", "1920x1080.jpeg", "1920x1080.png", "4032x3024.jpeg")
MODELS = (*STACKS, DETECTOR, DEFAULT)
SIDE = 224
ROOT = Path(__file__).parents[1]
PEERS = {
    "naive": sys.executable,
    "mlflow": os.environ.get("TRAINING_PYTHON", str(ROOT / ".octospoon/envs/mlflow/bin/python")),
    "torch": os.environ.get("TORCH_PYTHON", ""),
}
PEERS_SCORE = ("8", "2")
"""Number of measured images of a peer, and number of images for warming up."""
RATIOS = ("over_floor", "naive_ratio", "cpu_over_work", "peak_mb", "write_ms")


@dataclass(frozen=True)
class Setup:
    """One configuration: the paths of its images and its model, and how it is measured."""

    pictures: Path
    model: Path
    chosen: argparse.Namespace

    def run(self, command: list[str]) -> dict[str, float]:
        """Run a command with the server's address in its environment; return its measurements."""
        with local_aws.running(self.pictures, self.model.parent, self.chosen.latency) as server:
            answer = subprocess.run(
                command,
                check=False,
                capture_output=True,
                cwd=ROOT,
                env=os.environ | server.environment | self._kind(),
            )
        if answer.returncode:
            raise SystemExit(f"{' '.join(command)}:\n{answer.stderr.decode()[-2000:]}")
        return cast("dict[str, float]", json.loads(answer.stdout.splitlines()[-1]))

    def _kind(self) -> dict[str, str]:
        return {"BENCH_TASK_TYPE": "detection"} if self.model.parent.name == DETECTOR else {}

    def ours(self) -> dict[str, float]:
        arguments = [str(value) for value in (self.chosen.cores, self.chosen.batch, self.chosen.rounds)]
        return self.run([sys.executable, "-m", "bench.score_ours", str(self.pictures), *arguments])

    def peer(self, name: str) -> dict[str, float]:
        cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[: self.chosen.cores])
        script = str(ROOT / "bench/score_peers.py")
        # -P: this folder's select.py is not the standard library's
        command = ["taskset", "-c", cores, PEERS[name], "-P", script, name, str(self.model), *PEERS_SCORE]
        return self.run(command)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", nargs="*", default=PICTURES, metavar="WxH.FORMAT")
    parser.add_argument("--models", nargs="*", default=MODELS, choices=MODELS)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--latency", type=float, default=0.02, help="latency of a read in seconds")
    chosen = parser.parse_args()
    results = compare(chosen)
    if chosen.json:
        result = {
            name: {ratio: row[ratio] for ratio in RATIOS if ratio in row} for name, row in results.items()
        }
        chosen.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def compare(chosen: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure each configuration and print its row; at the end, print the cost of a million images."""
    peers = [name for name in chosen.peers if Path(PEERS[name] or "none").exists()]
    print(f"batch of {chosen.batch}, {1e3 * chosen.latency:.0f} ms a read, {chosen.cores} cores; ms an image")
    for name in sorted(set(chosen.peers) - set(peers)):
        print(f"not measured: {name}, its environment is not installed")
    print(f"load average before: {os.getloadavg()[0]:.2f}")
    names = ("decode", "predict", "floor", "bare", "wall", "cpu", "write", *peers)
    print(
        f"{'picture':16}{'model':8}{''.join(f'{name:>8}' for name in names)}"
        f"{'over floor':>12}{'cpu/work':>10}{'naive ratio':>12}{'peak MB':>9}{'load':>6}"
    )
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        models = {name: publish(Path(folder) / name, name, SIDE) for name in chosen.models}
        for kind in chosen.pictures:
            images = generate(Path(folder), kind)
            for model, path in models.items():
                others = peers if model in STACKS else []  # they compute models of known layers
                row = measured_once(Setup(images, path, chosen), others)
                results[f"{kind}/{model}"] = row
                print(f"{kind:16}{model:8}" + shown(row, names), flush=True)
    costs.show(results, chosen.cores, chosen.batch)
    return results


def measured_once(setup: Setup, peers: list[str]) -> dict[str, float]:
    """Measure one configuration; return seconds, ratios and megabytes by name."""
    row = setup.ours()
    peer_results = {name: setup.peer(name) for name in peers}
    row |= {name: spent["wall"] for name, spent in peer_results.items()}
    row |= {f"{name}_ratio": spent["wall"] / row["wall"] for name, spent in peer_results.items()}
    row |= {f"{name}_cpu": spent["cpu"] for name, spent in peer_results.items()}
    row["write_ms"] = 1e3 * row["write"]
    return {name: round(value, 6) for name, value in row.items()}


def shown(row: dict[str, float], names: tuple[str, ...]) -> str:
    times = "".join(
        f"{1e3 * row[name]:8.{2 if name == 'write' else 1}f}" if name in row else f"{'':8}" for name in names
    )
    return (
        f"{times}{row['over_floor']:12.2f}{row['cpu_over_work']:10.2f}{row.get('naive_ratio', 0):12.1f}"
        f"{row['peak_mb']:9.0f}{os.getloadavg()[0]:6.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
