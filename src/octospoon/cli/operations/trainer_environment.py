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
    from collections.abc import Sequence

TRAINING_PYTHON = Path(".octospoon/envs/mlflow/bin/python")


def in_trainer(arguments: Sequence[str], server: str) -> str:
    """Run a command of ``python -m octospoon.training``; return the last word of its output.

    Args:
        arguments: of the command.
        server: MLflow's address.

    Raises:
        NotConfigured: MLflow is not installed.
        ServiceUnavailable: the command failed; with the end of its error output.
    """
    python = sys.executable if importlib.util.find_spec("mlflow") else str(TRAINING_PYTHON.absolute())
    if not Path(python).exists():
        raise NotConfigured(
            f"the tracking server {server} is set, but MLflow is not installed here: pip install "
            '"octospoon[train]", or run `make environments` in a checkout'
        )
    done = subprocess.run(
        [python, "-m", "octospoon.training", *arguments],
        env=os.environ | {"MLFLOW_TRACKING_URI": server},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceUnavailable(done.stderr[-500:])
    return done.stdout.split()[-1]  # MLflow may print something before
