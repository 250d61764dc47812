"""The control of the demo: the same trainer, but random labels, in a process of low priority."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import numpy as np

from octospoon.cli.demo.failed import DemoFailed
from octospoon.cli.demo.tasks import task_named
from octospoon.cli.operations.trainer_environment import trainer_python
from octospoon.domain.batch.compose import BatchRules
from octospoon.training.simulation import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.demo.task import DemoTask

ROUNDS = 3
AUDIT_SHARE = 0.2
_NICENESS = 10
_LOOK_AGAIN = 0.5
_MODEL, _METRICS, _ERRORS = "model.onnx", "metrics", "errors"


class RandomControl:
    """Measures random labels while the loop runs; a context manager that stops it.

    Args:
        task: whose images are labelled at random.
        model: the content of the first model's file.
    """

    def __init__(self, task: DemoTask, model: bytes) -> None:
        self._task = task
        self._held = TemporaryDirectory()
        self._folder = Path(self._held.name)
        (self._folder / _MODEL).write_bytes(model)
        python = trainer_python(fine_tunes=True) if _fine_tunes(task) else sys.executable
        command = [python, "-m", __name__, task.task_type.name, str(self._folder)]
        with (self._folder / _METRICS).open("w") as metrics, (self._folder / _ERRORS).open("w") as errors:
            self._process = subprocess.Popen(command, stdout=metrics, stderr=errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._held.cleanup()

    def means(self, tell: Callable[[str], None]) -> dict[int, float]:
        """Wait for the end; return the mean metric on the held-out third by number of labels.

        Args:
            tell: receives the progress as a text.

        Raises:
            DemoFailed: the control failed.
        """
        metrics, labels = self._folder / _METRICS, plan_of(self._task).labels
        models = len(labels) * self._task.draws
        while self._process.poll() is None:
            done = metrics.read_text().count("\n")
            tell(f"waiting for the random control: {done} of {models} models are trained")
            time.sleep(_LOOK_AGAIN)
        if self._process.returncode:
            raise DemoFailed(f"the random control failed: {(self._folder / _ERRORS).read_text()[-500:]}")
        curves = np.array(metrics.read_text().split(), np.float64).reshape(self._task.draws, len(labels))
        return dict(zip(labels, curves.mean(axis=0).tolist(), strict=True))


def plan_of(task: DemoTask) -> Plan:
    """Return the rounds of a demo."""
    return Plan.even(ROUNDS, BatchRules(task.batch, AUDIT_SHARE))


def _fine_tunes(task: DemoTask) -> bool:
    return task.parameters.get("Trainer") == "finetune"


def main(name: str, folder: Path) -> None:
    """Print the metric after each round of each draw, each in a line of its own.

    Args:
        name: of the task type.
        folder: has the first model.
    """
    os.nice(_NICENESS)
    task = task_named(name)
    for metric in task.random_metrics((folder / _MODEL).read_bytes(), plan_of(task)):
        print(metric, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
