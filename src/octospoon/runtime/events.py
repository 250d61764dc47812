"""Read AWS's events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.images import ImageRef

if TYPE_CHECKING:
    from collections.abc import Mapping


def s3_records(body: str) -> list[Mapping[str, Any]]:
    """Return the records of an S3 notification; none for the test event that S3 sends once.

    Raises:
        BadRequest: the body is not an S3 notification.
    """
    try:
        notification = json.loads(body)
        if notification.get("Event") == "s3:TestEvent":
            return []
        return list(notification["Records"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"not an S3 notification: {error!r}") from error


def uploads(body: str) -> list[ImageRef]:
    """Return the uploads in a message of the uploads queue; raises BadRequest."""
    return [_upload(record) for record in s3_records(body)]


def _upload(record: Mapping[str, Any]) -> ImageRef:
    try:
        uploaded = record["s3"]["object"]
        return ImageRef(
            key=unquote_plus(uploaded["key"]),
            etag=str(uploaded.get("eTag", "")),
            sequencer=str(uploaded.get("sequencer", "")),
            size=int(uploaded.get("size", 0)),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise BadRequest(f"not an S3 record: {error!r}") from error
