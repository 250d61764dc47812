"""octospoon dlq: what failed for good on the queues, and another try at it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console

from octospoon.adapters.aws.errors import translated
from octospoon.cli.operations import log_reasons
from octospoon.cli.operations.queues import QUEUES, depth
from octospoon.cli.waiting import wait_for
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


def show(deployment: Deployment, queues: Sequence[str]) -> None:
    """Print how many dead letters each queue has, and some of them.

    Args:
        deployment: whose queues.
        queues: their short names, such as ``uploads``; none for all of them.
    """
    sqs, console = deployment.client("sqs"), Console(soft_wrap=True, markup=False, highlight=False)
    for name in _chosen(queues):
        url = deployment.outputs[f"{name}DeadLettersUrl"]
        count = depth(sqs, url)[0]
        console.print(f"{name.lower()}: {count:,} dead letters", style="bold")
        for letter in _peek(sqs, url) if count else []:
            for line in _lines(deployment, name, letter):
                console.print(f"  {line}")


def _lines(deployment: Deployment, queue: str, letter: Mapping[str, Any]) -> list[str]:
    sent = int(letter["Attributes"]["SentTimestamp"]) / 1000
    when = datetime.fromtimestamp(sent, UTC).strftime("%Y-%m-%d %H:%M")
    why = _why(deployment, queue, letter["MessageId"], sent)
    return [
        f"sent {when}, {letter['Attributes']['ApproximateReceiveCount']} tries",
        *([f"  why   {why}"] if why else []),
        f"  body  {letter['Body'][:_BODY]}",
    ]


def _why(deployment: Deployment, queue: str, message: str, sent: float) -> str:
    """Return why a message failed at last; the training queue's reasons stand in `octospoon status`."""
    if queue not in _FUNCTIONS:
        return ""
    return log_reasons.newest(deployment, _FUNCTIONS[queue], message, sent) or _NOT_LOGGED


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
