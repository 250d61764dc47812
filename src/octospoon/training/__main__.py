"""The entry point of the training container.

- ``run --job-id ID`` runs one training job.
- ``worker`` runs the jobs of the training queue.
- ``log-simulation FOLDER`` logs a report of `octospoon simulate` to MLflow.
- ``register-model FOLDER`` registers a model from `octospoon model import`.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 for success, 1 for failure."""
    parser = argparse.ArgumentParser(prog="python -m octospoon.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one training job")
    run.add_argument("--job-id", required=True)
    commands.add_parser("worker", help="run the jobs of the training queue until SIGTERM")
    log = commands.add_parser("log-simulation", help="log a report of `octospoon simulate` to MLflow")
    log.add_argument("folder", type=Path)
    model = commands.add_parser("register-model", help="register an imported model as a version in MLflow")
    model.add_argument("folder", type=Path)
    model.add_argument("--source", required=True, help="where the model came from")
    model.add_argument(
        "--above", type=int, default=-1, help="the highest version that the deployment ever had"
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if chosen.command == "log-simulation":
        return _log_simulation(chosen.folder)
    if chosen.command == "register-model":
        return _register(chosen.folder, chosen.source, chosen.above)
    return _run(chosen.job_id) if chosen.command == "run" else _work()


def _log_simulation(folder: Path) -> int:
    import os

    from octospoon.adapters.mlflow.simulations import log_simulation
    from octospoon.domain.errors import OctospoonError

    try:
        run = log_simulation(os.environ.get("OCTOSPOON_EXPERIMENT", "octospoon"), folder)
    except OctospoonError as error:
        logging.getLogger("octospoon.training").error("%s", error)  # noqa: TRY400
        return 1
    sys.stdout.write(f"{run}\n")
    return 0


def _register(folder: Path, source: str, above: int) -> int:
    import os

    from octospoon.adapters.mlflow.registry import MlflowRegistry
    from octospoon.domain.errors import OctospoonError
    from octospoon.training.model.register import register

    model = os.environ.get("OCTOSPOON_MODEL_NAME", "octospoon")
    experiment = os.environ.get("OCTOSPOON_EXPERIMENT", "octospoon")
    try:
        version = register(MlflowRegistry(model, experiment), folder, source, above)
    except OctospoonError as error:
        logging.getLogger("octospoon.training").error("%s", error)  # noqa: TRY400
        return 1
    sys.stdout.write(f"{version}\n")
    return 0


def _run(job_id: str) -> int:
    from octospoon.domain.errors import OctospoonError
    from octospoon.runtime.settings import TrainerSettings, load
    from octospoon.training.job.run import run
    from octospoon.training.job.time_limit import ended_after
    from octospoon.training.wiring import training_ports

    log = logging.getLogger("octospoon.training")
    signal.signal(signal.SIGTERM, _stopped)
    try:
        with ended_after(load(TrainerSettings).time_limit):
            outcome = run(job_id, training_ports(job_id))
    except OctospoonError as error:
        log.error("job %s failed: %s: %s", job_id, type(error).__name__, error)  # noqa: TRY400
        return 1
    log.info("job %s: %s", job_id, outcome)
    return 0


def _stopped(signum: int, frame: FrameType | None) -> None:
    """Raise SystemExit, so that the job can record that it was stopped."""
    del frame
    sys.exit(128 + signum)


def _work() -> int:
    import boto3

    from octospoon.runtime.settings import WorkerSettings, load
    from octospoon.training.job.worker import Worker

    Worker(boto3.client("sqs"), load(WorkerSettings).training_queue_url).work()
    return 0


if __name__ == "__main__":
    sys.exit(main())
