"""Runs commands that need MLflow in the trainer's environment, because the command line's has no MLflow."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.domain.errors import NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRAINING_PYTHON = Path(".octospoon/envs/mlflow/bin/python")
FINE_TUNING_PYTHON = Path(".octospoon/envs/finetune/bin/python")
_COMMAND, _TIME_LIMIT = "OCTOSPOON_TRAINER_COMMAND", "OCTOSPOON_TIME_LIMIT"
_STORAGE = {
    "OCTOSPOON_IMAGES_BUCKET": "ImagesBucket",
    "OCTOSPOON_ARTIFACTS_BUCKET": "ArtifactsBucket",
    "OCTOSPOON_POOL_TABLE": "PoolTable",
    "OCTOSPOON_ANNOTATIONS_TABLE": "AnnotationsTable",
    "OCTOSPOON_CONTROL_TABLE": "ControlTable",
    "OCTOSPOON_TRAINING_QUEUE_URL": "TrainingQueueUrl",
}
"""The trainer's variables by the stack's output that they hold."""


def stack_settings(outputs: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of the trainer with a stack's storage, queue and program.

    A program that never ends would stop all training, so it has a time limit on any machine. The machine's
    own takes precedence.

    Args:
        outputs: of the stack. A stack of an earlier release has no program.
    """
    settings = {name: outputs[output] for name, output in _STORAGE.items()}
    settings[_COMMAND] = outputs.get("TrainerCommand", "")
    if outputs["Trainer"] == "command":
        settings[_TIME_LIMIT] = os.environ.get(_TIME_LIMIT, outputs["TrainingTimeLimit"])
    return settings


def trainer_python(*, fine_tunes: bool = False) -> str:
    """Return the Python that has the trainer's packages: this one, or that of an environment of the checkout.

    Args:
        fine_tunes: whether it must have PyTorch too.

    Raises:
        NotConfigured: no Python has them.
    """
    needed, folder, extra = (
        ("torch", FINE_TUNING_PYTHON, "finetune") if fine_tunes else ("mlflow", TRAINING_PYTHON, "train")
    )
    if importlib.util.find_spec(needed):
        return sys.executable
    if folder.exists():
        return str(folder.absolute())
    target = "make finetune" if fine_tunes else "make environments"
    raise NotConfigured(
        f'training needs more packages: pip install "octospoon[{extra}]", or run `{target}` in a checkout'
    )


def in_trainer(arguments: Sequence[str], server: str) -> str:
    """Run a command of ``python -m octospoon.training``; return the last word of its output.

    Args:
        arguments: of the command.
        server: MLflow's address.

    Raises:
        NotConfigured: MLflow is not installed.
        ServiceUnavailable: the command failed; with the end of its error output.
    """
    done = subprocess.run(
        [trainer_python(), "-m", "octospoon.training", *arguments],
        env=os.environ | {"MLFLOW_TRACKING_URI": server},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceUnavailable(done.stderr[-500:])
    return done.stdout.split()[-1]  # MLflow may print something before
