"""The queues of a deployment, and how many messages are on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

    from octospoon.cli.deployment import Deployment

QUEUES = ("Uploads", "Annotations", "Training", "Rescore")
"""Every queue, by its name in the outputs of the stack."""
_LETTER = 120


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The messages of one queue.

    Attributes:
        waiting: messages that wait.
        in_work: messages that a function works on.
        dead_letters: messages that failed for good.
        examples: the beginnings of some dead letters.
    """

    waiting: int
    in_work: int
    dead_letters: int
    examples: list[str]


def depth(sqs: SQSClient, url: str) -> tuple[int, int]:
    """Return how many messages wait in a queue, and how many are in work."""
    names: list[QueueAttributeNameType] = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])


def read_queues(deployment: Deployment) -> dict[str, QueueStatus]:
    """Read how many messages each queue holds, by its name in small letters."""
    sqs, queues = deployment.client("sqs"), {}
    for name in QUEUES:
        waiting, in_work = depth(sqs, deployment.outputs[f"{name}QueueUrl"])
        url = deployment.outputs[f"{name}DeadLettersUrl"]
        dead_letters, _ = depth(sqs, url)
        examples = _peek(sqs, url) if dead_letters else []
        queues[name.lower()] = QueueStatus(waiting, in_work, dead_letters, examples)
    return queues


def _peek(sqs: SQSClient, url: str) -> list[str]:
    """Return the beginnings of some dead letters, without taking them away."""
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"][:_LETTER] for message in answer.get("Messages", [])]
