"""What the images bucket holds of an object's past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated
from octospoon.domain.trace import StoredVersion

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Versions:
    """Implements `octospoon.ports.images.ObjectVersions`.

    Args:
        client: of S3.
        bucket: the images bucket, versioned.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def versions(self, key: str) -> list[StoredVersion]:
        """Return the uploads and deletions of an object that the bucket still holds, oldest first."""
        with translated(f"listing the versions of {key}"):
            # those of this very key come first: no other that begins with it is before it
            answer = self._client.list_object_versions(Bucket=self._bucket, Prefix=key)
        found = [_version(one) for one in answer.get("Versions", []) if one["Key"] == key]
        found += [_deletion(one) for one in answer.get("DeleteMarkers", []) if one["Key"] == key]
        return sorted(found, key=lambda one: one.at)


def _version(one: Any) -> StoredVersion:  # noqa: ANN401 - as boto3 types it
    at = one["LastModified"].timestamp()
    return StoredVersion(one["ETag"].strip('"'), one["VersionId"], at, one.get("Size", 0))


def _deletion(one: Any) -> StoredVersion:  # noqa: ANN401 - as boto3 types it
    return StoredVersion("", one["VersionId"], one["LastModified"].timestamp(), deleted=True)
