"""The images bucket, and the queue of uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.errors import BadImage
    from octospoon.domain.pool.backfill import Backfill
    from octospoon.domain.pool.images import (
        ImageBytes,
        ImageRef,
        StoredObject,
    )
    from octospoon.domain.trace import StoredVersion


class ImageStore(Protocol):
    """The images bucket."""

    def read(self, key: str) -> ImageBytes:
        """Return an object's bytes and their identity, both of the same version.

        Raises:
            BadImage: reason ``gone`` (the object no longer exists), ``archived`` (it must be restored
                first) or ``customer-key`` (it is encrypted with a key that only its owner has).
        """

    def uri(self, key: str) -> str:
        """Return the s3:// address that annotators' tools resolve."""


class Inbox(Protocol):
    """Adds the images of prediction requests to the pool."""

    def add(self, data: bytes) -> str:
        """Put an image into the images bucket unless the same bytes are there; return its object key.

        Raises:
            BadImage: reason ``not-an-image`` or ``unsupported``.
        """


class Bucket(Protocol):
    """The images bucket as a list of objects."""

    def listing(self, after: str, limit: int, prefix: str = "") -> list[StoredObject]:
        """Return up to `limit` objects whose keys follow `after` and begin with `prefix`; none at the end.

        Fewer than `limit` does not mean the end.
        """

    def problem(self, key: str) -> BadImage | None:
        """Return why an object cannot be read now, or None if it can; `ImageStore.read` lists the reasons."""


class ObjectVersions(Protocol):
    """The versions of the objects in the images bucket."""

    def versions(self, key: str) -> list[StoredVersion]:
        """Return the uploads and deletions of an object that the bucket still holds, oldest first."""


class Uploads(Protocol):
    """The queue that uploads are scored from."""

    def send(self, image: ImageRef) -> None:
        """Queue one upload in the same form as the bucket's event."""

    def send_all(self, images: Sequence[ImageRef]) -> None:
        """Queue many uploads in few requests; some are queued if this raises an error."""


class Backlog(Protocol):
    """The objects that a user's bucket held before the stack read it, which only a backfill queues."""

    def until(self, now: float) -> float:
        """Return the epoch seconds before which unknown objects are left to a backfill.

        Args:
            now: epoch seconds, which the first call stores.
        """

    def reach(self, since: float) -> None:
        """Record that no unknown object since this time is left to a backfill; 0 for none at all."""


class Backfills(Protocol):
    """The progress of the newest backfill."""

    def read(self) -> Backfill:
        """Return the newest backfill."""

    def save(self, before: Backfill, backfill: Backfill) -> bool:
        """Replace `before`; return False if it has been replaced already."""
