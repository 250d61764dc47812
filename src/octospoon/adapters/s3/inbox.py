"""Images from prediction requests, which the images bucket's event adds to the pool."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.adapters.imaging.file_kinds import format_of
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "predict/"
_THERE = {"PreconditionFailed", "ConditionalRequestConflict", "412"}


class ClosedInbox:
    """Implements `octospoon.ports.images.Inbox` for a bucket that octospoon only reads."""

    def add(self, data: bytes) -> str:
        """Refuse; raises BadRequest."""
        del data
        raise BadRequest(
            "the stack only reads its images bucket, so that no image can be added: upload it there "
            "yourself, and ask again without add=true"
        )


class S3Inbox:
    """Implements `octospoon.ports.images.Inbox`: a key is ``predict/`` and the sha256 of the bytes."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def add(self, data: bytes) -> str:
        """Put an image into the images bucket, the same bytes once; return its object key.

        Raises:
            BadImage: the bytes are none of `picture_file.FORMATS`.
            ServiceUnavailable: S3 does not answer.
        """
        kind = format_of(data).lower()
        key = f"{PREFIX}{hashlib.sha256(data).hexdigest()}.{'jpg' if kind == 'jpeg' else kind}"
        with translated(f"writing {key}"):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=data, ContentType=f"image/{kind}", IfNoneMatch="*"
                )
            except ClientError as error:
                if code(error) not in _THERE:
                    raise
        return key
