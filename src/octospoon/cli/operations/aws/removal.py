"""`octospoon aws destroy`: remove a stack, and say what stays and what that costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.aws.stacks import find_stack, outputs_of
from octospoon.cli.deploy.secrets import DESCRIPTIONS
from octospoon.cli.operations.aws.image.repository import IMAGE, Repository, image_stack, repository_name
from octospoon.cli.operations.prices import DYNAMODB_GB_MONTH, ECR_GB_MONTH, S3_GB_MONTH, SECRET_MONTH
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.deployment import Deployment

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
    lines.append(f"the secrets {names}, as far as they exist: {SECRET_MONTH:.2f} USD each and month")
    return [*lines, *kept_images(deployment, stack)]


def kept_images(deployment: Deployment, stack: str) -> list[str]:
    """Return a line for the repository of the training image, if the stack has one in ECR.

    Args:
        deployment: the stack.
        stack: its name.
    """
    client = deployment.client("cloudformation")
    if not (image_stack_of(client, stack) or _trains_with_image(client, stack)):
        return []
    repository = Repository(deployment.client("ecr"), repository_name(stack))
    if not repository.exists():
        return []
    number, size = repository.size()
    return [
        f"the repository {repository.name} with {number} training images: at most "
        f"{size / 1e9 * ECR_GB_MONTH:.2f} USD a month for {size / 1e9:.2f} GB. Remove it with `aws ecr "
        f"delete-repository --force --repository-name {repository.name}`"
    ]


def image_stack_of(client: Any, stack: str) -> str | None:  # noqa: ANN401 - a fake in tests
    """Return the name of the stack that has the training image of a stack; None if there is none."""
    name = image_stack(stack)
    with translated(f"looking for the stack {name}"):
        stored = find_stack(client, name)
    # another stack may have the name
    return name if stored and outputs_of(stored).get("RepositoryName") == repository_name(stack) else None


def _trains_with_image(client: Any, stack: str) -> bool:  # noqa: ANN401 - a fake in tests
    with translated(f"reading the stack {stack}"):
        parameters = client.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    return any(
        parameter["ParameterKey"] == IMAGE and parameter.get("ParameterValue") for parameter in parameters
    )


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
    if user := deployment.outputs.get("LabelStudioUser"):
        with translated(f"removing the keys of {user}"):
            _remove_keys(deployment.client("iam"), user, progress)
    remove_stack(deployment.client("cloudformation"), stack, progress, poll)


def remove_stack(
    client: Any,  # noqa: ANN401 - a fake in tests
    stack: str,
    progress: Callable[[str], None],
    poll: float = _POLL,
) -> None:
    """Remove one stack of CloudFormation, and wait until it is gone.

    Args:
        client: of CloudFormation.
        stack: its name.
        progress: receives a line of text for each step.
        poll: seconds between two requests for its state.

    Raises:
        ServiceUnavailable: CloudFormation could not remove everything; it can be repeated.
    """
    with translated(f"removing {stack}"):
        stack_id = client.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
        progress(f"removing the stack {stack}")
        client.delete_stack(StackName=stack)
        while (status := _status(client, stack_id)).endswith("_IN_PROGRESS"):
            time.sleep(poll)
    if status != _GONE:
        raise ServiceUnavailable(
            f"the stack {stack} is {status}: the CloudFormation console shows what is in the way; then try "
            "again"
        )
    progress(f"removed the stack {stack}")


def _status(client: Any, stack_id: str) -> str:  # noqa: ANN401 - a fake in tests
    stack = find_stack(client, stack_id)
    return stack["StackStatus"] if stack else _GONE


def _remove_keys(iam: Any, user: str, progress: Callable[[str], None]) -> None:  # noqa: ANN401 - not installed
    """Remove the access keys of a user, with which CloudFormation cannot remove it."""
    for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        progress(f"removing the access key {key['AccessKeyId']} of {user}")
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
