"""Start training jobs through a queue that a worker consumes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class QueueLauncher:
    """Sends the job's id to the queue that `python -m octospoon.training worker` consumes.

    A repeated message starts nothing: only the worker that moves the job from launching to running runs it.
    """

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def launch(self, job_id: str) -> None:
        """Queue one job."""
        with translated(f"queueing {job_id}"):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=json.dumps({"job_id": job_id}))
