"""The images bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.adapters.imaging.file_kinds import other_file
from octospoon.adapters.s3.content import identified
from octospoon.adapters.s3.unreadable import archived, unreadable
from octospoon.domain.errors import BadImage
from octospoon.domain.labelling.addresses import address_of
from octospoon.domain.pool.images import StoredObject
from octospoon.domain.pool.source import MADE, ImagesSource

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

    from octospoon.adapters.s3.signed_gets import SignedGets
    from octospoon.domain.pool.images import ImageBytes

MAX_BYTES = 200_000_000


class S3Images:
    """Implements `octospoon.ports.images.ImageStore` and `octospoon.ports.images.Bucket`.

    Args:
        client: of S3.
        bucket: the images bucket.
        gets: a faster reader, which is tried first.
        source: which keys of the bucket are listed.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        gets: SignedGets | None = None,
        source: ImagesSource = MADE,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._gets = gets
        self._source = source

    def read(self, key: str) -> ImageBytes:
        """Return an object's bytes and their identity, both of the same version.

        Raises:
            BadImage: reason ``gone``, ``archived``, ``customer-key`` or ``too-large``.
        """
        if self._gets and (image := self._gets(key, MAX_BYTES)):
            return image
        with translated(f"reading {key}"):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if (problem := unreadable(error)) is not None:
                    raise problem from error
                raise
            if not answer.get("ETag"):  # LocalStack takes a key such as / for the bucket and lists it
                answer["Body"].close()
                raise BadImage("gone", "there is no such object")
            if answer["ContentLength"] > MAX_BYTES:
                answer["Body"].close()
                raise BadImage("too-large", f"{answer['ContentLength']:,} bytes is over {MAX_BYTES:,}")
            return identified(answer["Body"].read(), answer["ResponseMetadata"]["HTTPHeaders"], self._bucket)

    def close(self) -> None:
        """Close the connections of the faster reader."""
        if self._gets:
            self._gets.close()

    def listing(self, after: str, limit: int, prefix: str = "") -> list[StoredObject]:
        """Return up to `limit` objects whose keys follow `after` and begin with `prefix`; none at the end."""
        for range_ in self._source.ranges(prefix):
            past = after > range_ and not after.startswith(range_)
            if not past and (page := self._page(after, limit, range_)):
                return page
        return []

    def _page(self, after: str, limit: int, prefix: str) -> list[StoredObject]:
        with translated("listing the images"):
            answer = self._client.list_objects_v2(
                Bucket=self._bucket,
                Prefix=prefix,
                StartAfter=after,
                MaxKeys=limit,
                OptionalObjectAttributes=["RestoreStatus"],
            )
        return [self._stored(entry) for entry in answer.get("Contents", [])]

    def _stored(self, entry: ObjectTypeDef) -> StoredObject:
        status = entry.get("RestoreStatus", {})
        restored = bool(status.get("RestoreExpiryDate")) and not status.get("IsRestoreInProgress")
        return StoredObject(
            key=entry["Key"],
            etag=entry["ETag"].strip('"'),
            size=entry.get("Size", 0),
            modified=entry["LastModified"].timestamp(),
            archived=archived(entry.get("StorageClass", ""), restored=restored) is not None,
            other_file=self._source.existing and other_file(entry["Key"]),
        )

    def problem(self, key: str) -> BadImage | None:
        """Return why an object cannot be read now, or None if it can."""
        with translated(f"looking for {key}"):
            try:
                answer = self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code(error) == "400":  # the answer to a HEAD request has no error code
                    return self._problem_of_reading(key)
                if (problem := unreadable(error)) is not None:
                    return problem
                raise
        restored = 'ongoing-request="false"' in answer.get("Restore", "")
        return archived(answer.get("StorageClass", ""), restored=restored)

    def _problem_of_reading(self, key: str) -> BadImage | None:
        try:
            self._client.get_object(Bucket=self._bucket, Key=key, Range="bytes=0-0")["Body"].close()
        except ClientError as error:
            if (problem := unreadable(error)) is not None:
                return problem
            raise
        return None

    def uri(self, key: str) -> str:
        """Return the s3:// address of an image."""
        return address_of(self._bucket, key)
