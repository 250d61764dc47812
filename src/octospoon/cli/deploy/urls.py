"""The addresses of a deployment's two HTTP interfaces, on AWS and on LocalStack."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
