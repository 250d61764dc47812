"""The versions of an object in the images bucket."""

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
            # S3 lists versions in the order of keys, so that those of this key come before longer keys
            answer = self._client.list_object_versions(Bucket=self._bucket, Prefix=key)
        uploads = [_version(upload) for upload in answer.get("Versions", []) if upload["Key"] == key]
        deletions = [_deletion(marker) for marker in answer.get("DeleteMarkers", []) if marker["Key"] == key]
        return sorted([*uploads, *deletions], key=lambda version: version.at)


def _version(upload: Any) -> StoredVersion:  # noqa: ANN401 - as boto3 types it
    at = upload["LastModified"].timestamp()
    return StoredVersion(upload["ETag"].strip('"'), upload["VersionId"], at, upload.get("Size", 0))


def _deletion(marker: Any) -> StoredVersion:  # noqa: ANN401 - as boto3 types it
    return StoredVersion("", marker["VersionId"], marker["LastModified"].timestamp(), deleted=True)
