"""Where images lie, and how their uploads come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from octospoon.domain.errors import BadImage
    from octospoon.domain.pool.images import (
        ImageBytes,
        ImageRef,
        StoredObject,
    )
    from octospoon.domain.trace import StoredVersion


class ImageStore(Protocol):
    """The images bucket."""

    def read(self, key: str) -> ImageBytes:
        """Return an object's bytes and their identity, of one and the same version.

        Raises:
            BadImage: ``gone``: there is no such object any more; ``archived``: its class of storage must be
                restored first; ``customer-key``: it is encrypted with a key that only its owner has.
        """

    def uri(self, key: str) -> str:
        """Return the s3:// address that annotators' tools resolve."""


class Inbox(Protocol):
    """Where pictures that somebody asked about join the pool."""

    def add(self, data: bytes) -> str:
        """Put a picture into the images bucket, the same bytes once; return its object key."""


class Bucket(Protocol):
    """The images bucket as a list of objects."""

    def listing(self, after: str, limit: int) -> list[StoredObject]:
        """Return up to `limit` objects whose keys come after this one; fewer does not mean the end."""

    def problem(self, key: str) -> BadImage | None:
        """Return why an object cannot be read now, None where it can: reasons as of `ImageStore.read`."""


class ObjectVersions(Protocol):
    """The images bucket as a history."""

    def versions(self, key: str) -> list[StoredVersion]:
        """Return what the bucket still holds of an object's uploads and deletions, oldest first."""


class Uploads(Protocol):
    """The queue that uploads are scored from."""

    def send(self, image: ImageRef) -> None:
        """Queue one upload, as the bucket's event would."""
