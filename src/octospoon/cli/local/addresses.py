"""Where people find the parts of a local stack, and how they sign in."""

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
    """Return one line per address; `stop` is the command that ends the stack."""
    found = {
        "Label Studio": f"{project.label_studio_url}/projects/{project.label_studio_project}/data",
        "  sign in as": f"{sign_in.email}  {sign_in.password}",
        "MLflow": _runs(project),
        "images bucket": f"s3://{project.outputs['ImagesBucket']} at {project.endpoint_url}",
        "next": f"octospoon drop DIR · octospoon rank · octospoon status · {stop}",
    }
    return [f"{name:15}{value}" for name, value in found.items()]


def of_deployment(deployment: Deployment) -> list[str]:
    """Return the addresses of the local stack that was left running; none of any other."""
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
    """Return where MLflow shows the runs: its first page opens in a mode that has none."""
    experiment = recall(Layout(Path.cwd())).parameters.get("ExperimentName", EXPERIMENT)
    try:
        return MlflowExperiments(MlflowApi(project.mlflow_url, lambda: ("", ""))).table(experiment)
    except OctospoonError:  # it does not answer, as `octospoon doctor` tells
        return project.mlflow_url
