"""Objects that S3 has and does not give: trying again cannot help, only an action of their owner."""

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
"""The mark of it in the message of an ``InvalidRequest``."""


def unreadable(error: ClientError) -> BadImage | None:
    """Return why an object cannot be read for good; None where trying again can help.

    AccessDenied and errors of KMS are of the second kind: they befall whole buckets, until a policy or a key
    is put right.
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
    """Return why an object of this class of storage cannot be read, None where it can."""
    return _archived() if storage_class in _ARCHIVE_CLASSES and not restored else None


def _archived() -> BadImage:
    return BadImage(
        ARCHIVED,
        "the object is in an archive (Glacier or Deep Archive): restore it, and it is scored within a day",
    )
