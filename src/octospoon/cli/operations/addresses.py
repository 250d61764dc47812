"""Finds the addresses of a deployment: the pages for people, and the images bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.adapters.mlflow.alias import MlflowExperiments
from octospoon.adapters.mlflow.rest import MlflowApi
from octospoon.cli.deployment import local_project
from octospoon.domain.errors import OctospoonError

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment, LocalProject


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a deployment's parts.

    Attributes:
        label_studio: page of the project in Label Studio.
        mlflow: page of the training runs in MLflow, or of its server on AWS; empty without MLflow.
        images_bucket: of the images, as an S3 address.
        endpoint_url: of LocalStack; empty for AWS.
    """

    label_studio: str
    mlflow: str
    images_bucket: str
    endpoint_url: str


def addresses_of(deployment: Deployment) -> Addresses:
    """Return the addresses of a deployment."""
    project = local_project()
    if project is not None and project.endpoint_url == deployment.endpoint_url:
        return local_addresses(project)
    return Addresses(
        _project_page(deployment.label_studio_url, deployment.label_studio_project),
        deployment.mlflow_url,
        f"s3://{deployment.outputs['ImagesBucket']}",
        deployment.endpoint_url or "",
    )


def local_addresses(project: LocalProject) -> Addresses:
    """Return the addresses of a local stack."""
    return Addresses(
        _project_page(project.label_studio_url, project.label_studio_project),
        _runs(project),
        f"s3://{project.outputs['ImagesBucket']}",
        project.endpoint_url,
    )


def _project_page(url: str, project: int) -> str:
    return f"{url.rstrip('/')}/projects/{project}/data"


def _runs(project: LocalProject) -> str:
    """Return the page of MLflow that shows the runs: its home page does not show them."""
    try:
        return MlflowExperiments(MlflowApi(project.mlflow_url, lambda: ("", ""))).table(project.experiment)
    except OctospoonError:  # MLflow does not answer; `octospoon doctor` reports that
        return project.mlflow_url
