"""Runs the worker of a deployment's training queue, with settings from the stack."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from octospoon.cli.deployment.session import environment
from octospoon.cli.operations.trainer_environment import stack_settings, trainer_python
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from types import FrameType

    from octospoon.cli.deployment import Deployment


def worker_settings(deployment: Deployment) -> dict[str, str]:
    """Return the environment variables of a worker.

    Args:
        deployment: the deployment.

    Raises:
        NotConfigured: the stack runs its training jobs itself, or no MLflow is configured.
    """
    if (launcher := deployment.outputs["Launcher"]) != "queue":
        raise NotConfigured(
            f"the stack runs its jobs itself, with Launcher={launcher}: a worker needs Launcher=queue"
        )
    if not deployment.mlflow_url:
        raise NotConfigured(
            "the stack has no MLflow, which training needs: set the parameter MlflowTrackingUri"
        )
    settings = stack_settings(deployment.outputs) | {"MLFLOW_TRACKING_URI": deployment.mlflow_url}
    if user := deployment.settings.get("OCTOSPOON_MLFLOW_USERNAME"):
        settings["MLFLOW_TRACKING_USERNAME"] = user
    if secret := deployment.outputs.get("MlflowPasswordSecretArn"):
        settings["MLFLOW_TRACKING_PASSWORD"] = deployment.password(secret)
    if token := deployment.outputs.get("DagshubTokenSecretArn"):
        settings["DAGSHUB_USER_TOKEN"] = deployment.secret(token)
    if repository := deployment.outputs.get("DagshubRepository"):
        settings["OCTOSPOON_DAGSHUB_REPOSITORY"] = repository
    return settings


def work(deployment: Deployment) -> int:
    """Run the jobs of the training queue until this process is told to stop; return the worker's exit code.

    Args:
        deployment: the deployment.

    Raises:
        NotConfigured: the stack needs no worker, or this machine lacks the trainer's packages.
    """
    settings = worker_settings(deployment)
    fine_tunes = deployment.outputs.get("Trainer") == "finetune"
    command = [trainer_python(fine_tunes=fine_tunes), "-m", "octospoon.training", "worker"]
    # a signal that comes before the handler is there ends this process alone, so the child starts after it
    children: list[subprocess.Popen[bytes]] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        del frame
        if not children:
            sys.exit(128 + signum)
        children[0].terminate()  # the worker ends its job, which another worker then takes

    before = signal.signal(signal.SIGTERM, stop)
    try:
        children.append(subprocess.Popen(command, env=environment(deployment.endpoint_url) | settings))
        return _wait(children[0])
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for the worker. Ctrl-C reaches it too, and it ends by itself."""
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            sys.stderr.write("stopping; the job that runs begins again with the next worker\n")
