"""The queues of a deployment, and how many messages are on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

QUEUES = ("Uploads", "Annotations", "Training", "Rescore")
"""Every queue, by its name in the outputs of the stack."""


def depth(sqs: SQSClient, url: str) -> tuple[int, int]:
    """Return how many messages wait in a queue, and how many are in work."""
    names: list[QueueAttributeNameType] = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])
