"""Look for stacks of CloudFormation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef


def find_stack(client: Any, name: str) -> StackTypeDef | None:  # noqa: ANN401 - a fake in tests
    """Return a stack; None if there is none of this name or id.

    Raises:
        ClientError: CloudFormation did not answer.
    """
    try:
        stack: StackTypeDef = client.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return None
    return stack


def outputs_of(stack: StackTypeDef) -> dict[str, str]:
    """Return the outputs of a stack by name."""
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
