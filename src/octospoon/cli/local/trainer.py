"""The worker of the local stack that runs training jobs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.operations.trainer_environment import stack_settings
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.process import end
from octospoon.domain.errors import NotConfigured
from octospoon.domain.training.jobs import JobStatus
from octospoon.usecases.collect import LAUNCH_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from octospoon.cli.deployment import LocalProject
    from octospoon.cli.stack.running import RunningStack
    from octospoon.ports.training import Control

TRAINER = "trainer"
_SETTINGS = "trainer-settings"
"""A file with a hash of what the worker was started with."""
WORKER = "octospoon-worker"
"""What the worker calls itself in its requests to AWS."""
DAGSHUB = ("OCTOSPOON_DAGSHUB_REPOSITORY", "DAGSHUB_USER_TOKEN")
"""Environment variables that the local trainer inherits from the process that starts it."""


def start_trainer(
    servers: RunningStack, project: LocalProject, control: Control, progress: Callable[[str], None]
) -> None:
    """Start the worker that runs the training jobs of the queue, unless it runs with the same settings.

    Args:
        servers: the running programs.
        project: what is deployed on them.
        control: the state of the training job.
        progress: receives a line of text for each step.
    """
    trainers = [process for process in servers.processes if process.name == TRAINER]
    argv, environment = _program(servers, project)
    given, known = _digest(argv, environment), servers.temp_dir / _SETTINGS
    if any(process.alive() for process in trainers) and (not known.exists() or known.read_text() == given):
        return
    end(trainers)  # and their jobs, which may have outlived them
    if job := restart_lost_job(control, time.time()):
        progress(f"training job {job} was interrupted and starts again")
    progress("starting the trainer")
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(given)
    servers.start_process(TRAINER, argv, environment)


def _program(servers: RunningStack, project: LocalProject) -> tuple[list[str], dict[str, str]]:
    """Return the worker's command line and environment."""
    python = Layout(Path.cwd()).program(trainer_environment(project.outputs["Trainer"]), "python")
    dagshub = {name: os.environ[name] for name in DAGSHUB if name in os.environ}
    environment = servers.aws_environment() | trainer_settings(project) | dagshub
    # LocalStack gives all programs the same keys: this tells its requests from those of others
    environment["AWS_SDK_UA_APP_ID"] = WORKER
    return [str(python), "-m", "octospoon.training", "worker"], environment


def _digest(argv: list[str], environment: Mapping[str, str]) -> str:
    """Return a hash of what a worker is started with, less what a person's shell may have only sometimes."""
    lasting = sorted((name, value) for name, value in environment.items() if name not in DAGSHUB)
    return hashlib.sha256(json.dumps([argv, lasting]).encode()).hexdigest()


def restart_lost_job(control: Control, now: float) -> str:
    """Let the job of a dead worker start again, without waiting for the end of its lease.

    The message with its id is in the queue until the job has succeeded, and the next worker receives it. Only
    a stack on one machine can do this: it has one worker, which ended with the rest of the stack. A job that
    runs nevertheless does no harm, because a job that runs twice promotes once.

    Args:
        control: the state of the training job.
        now: epoch seconds.

    Returns:
        The id of the job; empty if no job was interrupted.
    """
    state = control.state()
    lost = state.status is JobStatus.RUNNING and control.relaunch(state, now + LAUNCH_LEASE)
    return state.job_id if lost else ""


def trainer_environment(trainer: str) -> str:
    """Return the name of the environment that a trainer runs in.

    Raises:
        NotConfigured: the environment is not installed.
    """
    if trainer != "finetune":
        return "mlflow"
    if not Layout(Path.cwd()).program(trainer, "python").exists():
        raise NotConfigured("Trainer=finetune needs PyTorch: run `make finetune`, which installs it")
    return trainer


def trainer_settings(project: LocalProject) -> dict[str, str]:
    """Return the settings of the trainer, as environment variables."""
    return {"MLFLOW_TRACKING_URI": project.mlflow_url} | stack_settings(project.outputs)
