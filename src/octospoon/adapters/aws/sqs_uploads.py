"""Send uploads to the scoring queue when the bucket's event was lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from octospoon.adapters.aws.errors import translated

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from octospoon.domain.pool.images import ImageRef


class SqsUploads:
    """Implements `octospoon.ports.images.Uploads`."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, image: ImageRef) -> None:
        """Queue one upload in the same form as the bucket's event."""
        record = {
            "key": quote_plus(image.key),
            "eTag": image.etag,
            "size": image.size,
            "sequencer": image.sequencer,
        }
        body = json.dumps({"Records": [{"eventSource": "octospoon:reconcile", "s3": {"object": record}}]})
        with translated(f"queueing {image.key}"):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body)
