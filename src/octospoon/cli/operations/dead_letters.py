"""Lists the messages that failed for good, and gives them back to their queues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import translated
from octospoon.cli.failures import sentence
from octospoon.cli.operations import log_reasons
from octospoon.cli.operations.queues import QUEUES, depth
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.errors import BadRequest, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_sqs import SQSClient

    from octospoon.cli.deployment import Deployment

_SHOWN = 10
_BODY = 300
_FUNCTIONS = {"Uploads": "score", "Annotations": "collect", "Rescore": "rescore"}
_NOT_LOGGED = "no error is logged: the function was stopped, or its log is no longer kept"
_OVER = ("COMPLETED", "FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that failed for good.

    Attributes:
        sent_at: epoch seconds.
        tries: how often it was tried.
        reason: why it failed last; empty for the training queue, whose reasons `octospoon status` shows.
        body: the beginning of the message.
    """

    sent_at: float
    tries: int
    reason: str
    body: str


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of one queue.

    Attributes:
        queue: its short name.
        dead_letters: how many there are.
        letters: some of them.
    """

    queue: str
    dead_letters: int
    letters: list[DeadLetter]


def read(deployment: Deployment, queues: Sequence[str]) -> list[DeadLetters]:
    """Return how many dead letters each queue has, and some of them.

    Args:
        deployment: the deployment.
        queues: their short names, such as ``uploads``; none for all of them.

    Raises:
        BadRequest: there is no such queue.
    """
    sqs, read_queues = deployment.client("sqs"), []
    for name in _chosen(queues):
        url = deployment.outputs[f"{name}DeadLettersUrl"]
        count = depth(sqs, url)[0]
        letters = [_letter(deployment, name, message) for message in (_peek(sqs, url) if count else [])]
        read_queues.append(DeadLetters(name.lower(), count, letters))
    return read_queues


def _letter(deployment: Deployment, queue: str, message: Mapping[str, Any]) -> DeadLetter:
    sent_at, reason = int(message["Attributes"]["SentTimestamp"]) / 1000, ""
    if function := _FUNCTIONS.get(queue):
        reason = _reason(deployment, function, message["MessageId"], sent_at)
    tries = int(message["Attributes"]["ApproximateReceiveCount"])
    return DeadLetter(sent_at, tries, reason, message["Body"][:_BODY])


def _reason(deployment: Deployment, function: str, message: str, since: float) -> str:
    """Return why a function failed on a message; without the right to read its log, what is missing."""
    try:
        return log_reasons.newest(deployment, function, message, since) or _NOT_LOGGED
    except ClientError as error:
        return f"the log cannot be read: {sentence(error)}"


def redrive(deployment: Deployment, queues: Sequence[str]) -> dict[str, int]:
    """Give dead letters back to the queues that they failed on; return how many, by queue.

    A message that is still bad comes back after its last try. What was counted meanwhile is not counted
    again: every function takes a message any number of times.

    Raises:
        BadRequest: there is no such queue.
        ServiceUnavailable: SQS moved only some of them; the rest can be redriven again.
    """
    sqs = deployment.client("sqs")
    moved = {}
    for name in _chosen(queues):
        url = deployment.outputs[f"{name}DeadLettersUrl"]
        if depth(sqs, url)[0]:
            moved[name.lower()] = _move(sqs, url)
    return moved


def _move(sqs: SQSClient, url: str) -> int:
    with translated("redriving dead letters"):
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sqs.start_message_move_task(SourceArn=arn)

        def ended() -> Any:  # noqa: ANN401 - a task as boto3 types it
            newest = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"][0]
            return newest if newest["Status"] in _OVER else None

        task = wait_for("the dead letters to be moved", ended, seconds=600)
    if task["Status"] != "COMPLETED":
        raise ServiceUnavailable(f"the redrive of {arn} is {task['Status']}: {task.get('FailureReason', '')}")
    return int(task["ApproximateNumberOfMessagesMoved"])


def _peek(sqs: SQSClient, url: str) -> list[Any]:
    """Return some dead letters, without taking them away."""
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=_SHOWN, VisibilityTimeout=0, MessageSystemAttributeNames=["All"]
    )
    return list(answer.get("Messages", []))


def _chosen(queues: Sequence[str]) -> list[str]:
    known = {name.lower(): name for name in QUEUES}
    if unknown := [name for name in queues if name.lower() not in known]:
        raise BadRequest(f"no such queue: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name.lower()] for name in queues] or list(QUEUES)
