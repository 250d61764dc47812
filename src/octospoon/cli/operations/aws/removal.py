"""`octospoon aws destroy`: remove a stack, and say what stays and what that costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import translated
from octospoon.cli.deploy.secrets import DESCRIPTIONS
from octospoon.cli.operations.prices import DYNAMODB_GB_MONTH, S3_GB_MONTH
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.deployment import Deployment

SECRET_MONTH = 0.40
"""Dollars for a secret of Secrets Manager and month, by the price list of us-east-1."""
_TABLES = ("PoolTable", "AnnotationsTable", "ControlTable")
_POLL = 5.0
_GONE = "DELETE_COMPLETE"


def kept(deployment: Deployment, stack: str) -> list[str]:
    """Return a line for each thing that stays after the stack is removed, with what it costs.

    Args:
        deployment: the stack.
        stack: its name.
    """
    buckets = [deployment.outputs["ArtifactsBucket"]]
    if deployment.outputs.get("ImagesSource") != "existing":
        buckets.insert(0, deployment.outputs["ImagesBucket"])
    lines = [f"the bucket {name}: {S3_GB_MONTH} USD for a GB and month" for name in buckets]
    for output in _TABLES:
        table = deployment.client("dynamodb").describe_table(TableName=deployment.outputs[output])["Table"]
        gigabytes = table.get("TableSizeBytes", 0) / 1e9
        lines.append(
            f"the table {table['TableName']}: about {gigabytes * DYNAMODB_GB_MONTH:.2f} USD a month for "
            f"{gigabytes:.2f} GB, without its backups"
        )
    names = " and ".join(f"{stack}/{kind}" for kind in DESCRIPTIONS)
    return [*lines, f"the secrets {names}, as far as they exist: {SECRET_MONTH:.2f} USD each and month"]


def destroy(deployment: Deployment, stack: str, progress: Callable[[str], None], poll: float = _POLL) -> None:
    """Remove a stack; buckets, tables and secrets stay.

    Args:
        deployment: the stack.
        stack: its name.
        progress: receives a line of text for each step.
        poll: seconds between two requests for its state.

    Raises:
        ServiceUnavailable: CloudFormation could not remove everything; it can be repeated.
    """
    with translated(f"removing {stack}"):
        if user := deployment.outputs.get("LabelStudioUser"):
            _remove_keys(deployment.client("iam"), user, progress)
        client = deployment.client("cloudformation")
        found = client.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
        progress(f"removing the stack {stack}")
        client.delete_stack(StackName=stack)
        while (status := _status(client, found)).endswith("_IN_PROGRESS"):
            time.sleep(poll)
    if status != _GONE:
        raise ServiceUnavailable(
            f"the stack {stack} is {status}: the CloudFormation console shows what is in the way; then try "
            "again"
        )
    progress(f"removed the stack {stack}")


def _status(client: Any, stack_id: str) -> str:  # noqa: ANN401 - a fake in tests
    try:
        return str(client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return _GONE


def _remove_keys(iam: Any, user: str, progress: Callable[[str], None]) -> None:  # noqa: ANN401 - not installed
    """Remove the access keys of a user, with which CloudFormation cannot remove it."""
    for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        progress(f"removing the access key {key['AccessKeyId']} of {user}")
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
