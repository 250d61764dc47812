"""The addresses of a deployment's two HTTP interfaces, on AWS and on LocalStack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.deployment import local_project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.cli.deployment import Deployment


def endpoint_for_label_studio(deployment: Deployment) -> str | None:
    """Return the address at which Label Studio reaches LocalStack; None for AWS.

    In containers it is not the address that this machine uses.
    """
    project = local_project() if deployment.endpoint_url else None
    if project and project.endpoint_url == deployment.endpoint_url and project.inside_endpoint_url:
        return project.inside_endpoint_url
    return deployment.endpoint_url


def webhook_url(outputs: Mapping[str, str], endpoint_url: str | None) -> str:
    """Return the address that Label Studio calls.

    Args:
        outputs: of the CloudFormation stack.
        endpoint_url: of LocalStack; None for AWS.
    """
    if endpoint_url is None:
        return outputs["WebhookUrl"]
    return f"{_local_api(endpoint_url, outputs['RestApiId'], outputs['RestApiStage'])}/webhook"


def predict_url(outputs: Mapping[str, str], endpoint_url: str | None) -> str:
    """Return the address that serves predictions. It is also the address of Label Studio's ML backend.

    Args:
        outputs: of the CloudFormation stack.
        endpoint_url: of LocalStack; None for AWS.
    """
    if endpoint_url is None:
        return outputs["PredictUrl"]
    return _local_api(endpoint_url, outputs["PredictApiId"], outputs["PredictApiStage"])


def _local_api(endpoint_url: str, api: str, stage: str) -> str:
    """Return an address whose host is LocalStack's own, so that no DNS entry is needed."""
    return f"{endpoint_url}/_aws/execute-api/{api}/{stage}"
