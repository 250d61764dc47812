"""Where people find the parts of a local stack, and how they sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octospoon.cli.context import LocalProject
    from octospoon.cli.stack import Credentials


def lines(project: LocalProject, sign_in: Credentials, *, stop: str) -> list[str]:
    """Return one line per address; `stop` is the command that ends the stack."""
    found = {
        "Label Studio": f"{project.label_studio_url}/projects/{project.label_studio_project}/data",
        "  sign in as": f"{sign_in.email}  {sign_in.password}",
        "MLflow": project.mlflow_url,
        "images bucket": f"s3://{project.outputs['ImagesBucket']} at {project.endpoint_url}",
        "next": f"octospoon drop DIR · octospoon rank · octospoon status · {stop}",
    }
    return [f"{name:15}{value}" for name, value in found.items()]
