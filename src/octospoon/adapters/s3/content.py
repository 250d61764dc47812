"""Identify the bytes of an object, however they were uploaded."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from octospoon.domain.pool.images import ImageBytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

    Headers = Mapping[str, str] | Message

_MD5 = re.compile(r"[0-9a-f]{32}")
_ENCRYPTION = "x-amz-server-side-encryption"
_OWN_KEY = "x-amz-server-side-encryption-customer-algorithm"
_DIRECTORY_BUCKET = "--x-s3"


def identified(data: bytes, headers: Headers, bucket: str) -> ImageBytes:
    """Return an object's bytes with their identity, the MD5 of the bytes in hex.

    S3's ETag is this MD5 if the object was uploaded in one part, and is not encrypted or encrypted with S3's
    own keys. Otherwise the MD5 is computed.

    Args:
        data: the whole object.
        headers: of the answer; names in lower case, or a mapping that ignores case.
        bucket: of the object.
    """
    object_etag = headers.get("etag", "").strip('"')
    if _is_md5(object_etag, headers, bucket):
        return ImageBytes(data, object_etag)
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return ImageBytes(data, etag, object_etag if object_etag != etag else "")


def _is_md5(etag: str, headers: Headers, bucket: str) -> bool:
    return (
        _MD5.fullmatch(etag) is not None
        and headers.get(_ENCRYPTION, "AES256") == "AES256"
        and headers.get(_OWN_KEY) is None
        and not bucket.endswith(_DIRECTORY_BUCKET)
    )
