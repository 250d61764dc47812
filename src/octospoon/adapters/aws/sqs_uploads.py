"""Send uploads to the scoring queue when no event of the bucket does."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from octospoon.adapters.aws.errors import translated
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs import SQSClient

    from octospoon.domain.pool.images import ImageRef

_A_REQUEST = 10
"""The most messages that SQS takes in one request."""
_REQUESTS = 8
"""Requests at once."""
_TRIES = 5


class SqsUploads:
    """Implements `octospoon.ports.images.Uploads`.

    Args:
        client: of SQS.
        queue_url: of the uploads queue.
        source: what queues the uploads, as their messages name it.
    """

    def __init__(self, client: SQSClient, queue_url: str, source: str = "reconcile") -> None:
        self._client = client
        self._queue_url = queue_url
        self._source = source

    def send(self, image: ImageRef) -> None:
        """Queue one upload in the same form as the bucket's event."""
        with translated(f"queueing {image.key}"):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=self._body(image))

    def send_all(self, images: Sequence[ImageRef]) -> None:
        """Queue many uploads, ten in a request; some are queued if this raises an error.

        Raises:
            ServiceUnavailable: SQS refused some of them again and again.
        """
        requests = [images[start : start + _A_REQUEST] for start in range(0, len(images), _A_REQUEST)]
        with ThreadPoolExecutor(_REQUESTS) as threads:
            list(threads.map(self._send_request, requests))

    def _send_request(self, images: Sequence[ImageRef]) -> None:
        left = {str(number): self._body(image) for number, image in enumerate(images)}
        for _ in range(_TRIES):
            with translated("queueing uploads"):
                answer = self._client.send_message_batch(
                    QueueUrl=self._queue_url,
                    Entries=[{"Id": name, "MessageBody": body} for name, body in left.items()],
                )
            left = {failed["Id"]: left[failed["Id"]] for failed in answer.get("Failed", [])}
            if not left:
                return
        raise ServiceUnavailable(f"SQS refused {len(left)} of {len(images)} messages")

    def _body(self, image: ImageRef) -> str:
        record = {
            "key": quote_plus(image.key),
            "eTag": image.etag,
            "size": image.size,
            "sequencer": image.sequencer,
        }
        source = f"octospoon:{self._source}"
        return json.dumps({"Records": [{"eventSource": source, "s3": {"object": record}}]})
