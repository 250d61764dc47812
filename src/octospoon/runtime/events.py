"""Read AWS's events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from octospoon.adapters.imaging.file_kinds import other_file
from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.images import ImageRef

if TYPE_CHECKING:
    from collections.abc import Mapping


def s3_records(body: str) -> list[Mapping[str, Any]]:
    """Return the records of an S3 notification; none for the test event that S3 sends once.

    Raises:
        BadRequest: the body is not an S3 notification.
    """
    return _records(_decoded(body))


def _decoded(body: str) -> Mapping[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"not an S3 notification: {error!r}") from error
    if not isinstance(message, dict):
        raise BadRequest(f"not an S3 notification, but {type(message).__name__}")
    return message


def _records(notification: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if notification.get("Event") == "s3:TestEvent":
        return []
    try:
        return list(notification["Records"])
    except (KeyError, TypeError) as error:
        raise BadRequest(f"not an S3 notification: {error!r}") from error


def uploads(body: str) -> list[ImageRef]:
    """Return the uploads in a message of the uploads queue; raises BadRequest.

    It is a notification of the stack's own bucket, or an event of EventBridge about an existing bucket. Other
    kinds of files in an existing bucket are left out.
    """
    message = _decoded(body)
    if "detail-type" not in message:
        return [_upload(record) for record in _records(message)]
    upload = _existing(message)
    return [] if other_file(upload.key) else [upload]


def _existing(event: Mapping[str, Any]) -> ImageRef:
    try:
        written = event["detail"]["object"]
        return ImageRef(
            key=str(written["key"]),  # unlike the key of a notification, it is not encoded
            etag=str(written.get("etag", "")),
            sequencer=str(written.get("sequencer", "")),
            size=int(written.get("size", 0)),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise BadRequest(f"not an event of S3: {error!r}") from error


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
