"""Ways to start other functions: through a queue, or by an asynchronous call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from octospoon.adapters.aws.errors import translated
from octospoon.domain.errors import ServiceUnavailable
from octospoon.runtime import aws

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient


def queue_sender(sqs: SQSClient, url: str, action: str) -> Callable[[str], None]:
    """Return a function that sends a message to a queue at once.

    Args:
        sqs: the client.
        url: of the queue.
        action: what the message does; the beginning of an error's text.
    """

    def send(body: str) -> None:
        with translated(action):
            sqs.send_message(QueueUrl=url, MessageBody=body)

    return send


def rescore_queue(url: str) -> Callable[[str], None]:
    """Return a function that queues a segment of the pool for `rescore`."""
    return queue_sender(aws.client("sqs"), url, "queueing a segment")


def rescore_queue_later(url: str) -> Callable[[str, float], None]:
    """Return a function that queues a message for `rescore`, which gets it after so many seconds."""

    def send(body: str, seconds: float) -> None:
        with translated("queueing a segment"):
            aws.client("sqs").send_message(QueueUrl=url, MessageBody=body, DelaySeconds=round(seconds))

    return send


def batch_request(rank_function: str) -> Callable[[], None] | None:
    """Return a function that starts `rank`; None if only the schedule starts it.

    Args:
        rank_function: name of the function; empty if only the schedule starts it.
    """

    def request() -> None:
        try:
            aws.client("lambda").invoke(FunctionName=rank_function, InvocationType="Event", Payload=b"{}")
        except (BotoCoreError, ClientError) as error:
            # any error, a missing permission too: the work that led to the request is done and stays done
            raise ServiceUnavailable(f"asking for a new batch: {type(error).__name__}") from error

    return request if rank_function else None
