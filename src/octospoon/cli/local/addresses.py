"""The addresses of a local stack, and how to sign in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.mlflow.alias import MlflowExperiments
from octospoon.adapters.mlflow.rest import MlflowApi
from octospoon.cli.deployment import local_project
from octospoon.cli.local.saved_settings import recall
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.record import Record
from octospoon.domain.errors import OctospoonError

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment, LocalProject
    from octospoon.cli.stack import Credentials

EXPERIMENT = "octospoon"
COMPOSE_CREDENTIALS = Path(".octospoon/state/compose-credentials.json")


def lines(project: LocalProject, sign_in: Credentials, *, stop: str) -> list[str]:
    """Return one line per address.

    Args:
        project: the local stack.
        sign_in: to its Label Studio.
        stop: the command that stops the stack.
    """
    addresses = {
        "Label Studio": f"{project.label_studio_url}/projects/{project.label_studio_project}/data",
        "  sign in as": f"{sign_in.email}  {sign_in.password}",
        "MLflow": _runs(project),
        "images bucket": f"s3://{project.outputs['ImagesBucket']} at {project.endpoint_url}",
        "next": f"octospoon drop DIR · octospoon rank · octospoon status · {stop}",
    }
    return [f"{name:15}{value}" for name, value in addresses.items()]


def of_deployment(deployment: Deployment) -> list[str]:
    """Return the addresses of the running local stack; nothing for a stack on AWS."""
    project = local_project()
    if project is None or project.endpoint_url != deployment.endpoint_url:
        return []
    layout = Layout(Path.cwd())
    record = Record.read(layout.detached)
    if record is not None and project.endpoint_url in record.urls.values():
        return lines(project, credentials(layout.credentials), stop="octospoon down")
    if COMPOSE_CREDENTIALS.exists():
        return lines(project, credentials(COMPOSE_CREDENTIALS), stop="make dockercomposedown")
    return []


def _runs(project: LocalProject) -> str:
    """Return the page of MLflow that shows the runs: its home page does not show them."""
    experiment = recall(Layout(Path.cwd())).parameters.get("ExperimentName", EXPERIMENT)
    try:
        return MlflowExperiments(MlflowApi(project.mlflow_url, lambda: ("", ""))).table(experiment)
    except OctospoonError:  # MLflow does not answer; `octospoon doctor` reports that
        return project.mlflow_url
