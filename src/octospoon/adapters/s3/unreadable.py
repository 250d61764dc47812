"""Objects that S3 refuses to return until their owner acts, so that a retry cannot help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import code
from octospoon.domain.errors import BadImage
from octospoon.domain.pool.images import ARCHIVED

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_GONE = {"NoSuchKey", "404"}
_ARCHIVE_CLASSES = {"GLACIER", "DEEP_ARCHIVE"}
_OWN_KEY = "object was stored using a form of Server Side Encryption"
"""Part of the message of an ``InvalidRequest`` for an object encrypted with the owner's key."""


def unreadable(error: ClientError) -> BadImage | None:
    """Return why an object is permanently unreadable, or None if a retry can help.

    A retry can help after AccessDenied and errors of KMS: they affect a whole bucket until somebody corrects
    a policy or a key.
    """
    if code(error) in _GONE:
        return BadImage("gone", "there is no such object: it was never there, or deleted")
    if code(error) == "InvalidObjectState":
        return _archived()
    message = error.response.get("Error", {}).get("Message", "")
    if code(error) == "InvalidRequest" and _OWN_KEY in message:
        return BadImage(
            "customer-key",
            "the object is encrypted with a key that only its owner has (SSE-C): upload it without that key",
        )
    return None


def archived(storage_class: str, *, restored: bool) -> BadImage | None:
    """Return why an object of this storage class cannot be read, or None if it can."""
    return _archived() if storage_class in _ARCHIVE_CLASSES and not restored else None


def _archived() -> BadImage:
    return BadImage(
        ARCHIVED,
        "the object is in an archive (Glacier or Deep Archive): restore it, and it is scored within a day",
    )
