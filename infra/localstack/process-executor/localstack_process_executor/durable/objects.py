"""S3 objects on disk, with their versions and metadata. ACLs, tags and locks of objects are not kept."""

from __future__ import annotations

import datetime
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

from localstack.services.s3 import provider
from localstack.services.s3.models import KeyStore, S3Bucket, S3DeleteMarker, S3Object, VersionedKeyStore

from localstack_process_executor.durable import links
from localstack_process_executor.durable.files import FileStore
from localstack_process_executor.durable.store import Change

if TYPE_CHECKING:
    from pathlib import Path

    from localstack_process_executor.durable.store import Store

LOG = logging.getLogger(__name__)
BYTES = "object-files"
SHOWN = "objects"
_TIME = "$time"
_NUMBERED = "$numbered"


def install(store: Store, folder: Path) -> FileStore:
    """Let buckets keep their objects, and take those of the store when they are created.

    Args:
        store: of the records.
        folder: of the files.

    Returns:
        The storage of LocalStack's provider.
    """
    files = FileStore(folder / BYTES)

    class DurableBucket(S3Bucket):
        """A bucket with the objects of the store."""

        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
            super().__init__(*arguments, **options)
            kept = BucketRecords(self.name, store, files, folder / SHOWN)
            locked: bool = self.object_lock_enabled or False  # such a bucket has versions from the start
            self.objects, self.versioning_status = kept.filled(versioned=locked)

    provider.S3Bucket = DurableBucket
    provider.VersionedKeyStore = DurableVersions
    return files


class BucketRecords:
    """The records of a bucket's objects.

    Args:
        bucket: its name.
        store: of the records.
        files: of the objects.
        shown: the folder in which people find the objects.
    """

    def __init__(self, bucket: str, store: Store, files: FileStore, shown: Path) -> None:
        self._bucket, self._store, self._files, self._shown = bucket, store, files, shown
        self._space = f"bucket/{bucket}"
        self.lock = threading.RLock()

    def filled(self, *, versioned: bool) -> tuple[KeyStore | VersionedKeyStore, str | None]:
        """Return the kept objects, and whether the bucket has versions."""
        entries = [entry for _, body in self._store.read(self._space) if (entry := self._entry(body))]
        versioned = versioned or any(entry.version_id for entry in entries)
        kept: Any = DurableVersions(self) if versioned else DurableKeys(self)
        for entry in entries:
            kept.take(entry)
        return kept, "Enabled" if versioned else None

    def put(self, entry: Any, replaced: Any) -> None:  # noqa: ANN401 - an object or a delete marker
        """Write the record of an object; remove the file that it replaces."""
        path = self._files.complete(self._bucket, entry)
        old = self._files.path_of(replaced) if replaced is not None else None
        self._store.write([Change(self._space, _key(entry), packed(entry))], [path] if path else [])
        if old and old != path:
            old.unlink(missing_ok=True)

    def drop(self, entry: Any) -> None:  # noqa: ANN401
        """Remove the record of an object. LocalStack removes its file afterwards."""
        self._store.write([Change(self._space, _key(entry), None)])

    def show(self, key: str, newest: Any) -> None:  # noqa: ANN401
        """Show people the newest version of an object; nothing for None and for a delete marker."""
        path = self._files.path_of(newest) if newest is not None else None
        if path:
            links.link(self._shown, self._bucket, key, path)
        else:
            links.unlink(self._shown, self._bucket, key)

    def _entry(self, body: str) -> Any:  # noqa: ANN401
        """Return an object, or None if its file is incomplete since a power failure."""
        entry = unpacked(body)
        path = self._files.path_of(entry)
        size = path.stat().st_size if path and path.exists() else -1
        if path and size != entry.size:
            LOG.error("s3://%s/%s is incomplete: upload it again", self._bucket, entry.key)
            return None
        return entry


class DurableKeys(KeyStore):
    """The objects of a bucket without versions.

    Args:
        records: of the bucket.
    """

    def __init__(self, records: BucketRecords) -> None:
        super().__init__()
        self.records = records

    def take(self, entry: Any) -> None:  # noqa: ANN401
        """Take an object that has a record."""
        super().set(entry.key, entry)

    def set(self, object_key: str, s3_object: Any) -> None:  # noqa: ANN401
        """Keep an object instead of the one with its key."""
        with self.records.lock:
            self.records.put(s3_object, self.get(object_key))
            super().set(object_key, s3_object)
            self.records.show(object_key, s3_object)

    def pop(self, object_key: str, default: Any = None) -> Any:  # noqa: ANN401
        """Remove an object."""
        with self.records.lock:
            if (stored := self.get(object_key)) is not None:
                self.records.drop(stored)
            self.records.show(object_key, None)
            return super().pop(object_key, default)


class DurableVersions(VersionedKeyStore):
    """The objects of a bucket with versions.

    Args:
        records: of the bucket.
    """

    def __init__(self, records: BucketRecords) -> None:
        super().__init__()
        self.records = records

    @classmethod
    def from_key_store(cls, keystore: DurableKeys) -> DurableVersions:
        """Return the objects of a bucket that gets versions now. Each becomes the version `null`."""
        versions = cls(keystore.records)
        for entry in keystore.values():
            with versions.records.lock:
                keystore.records.drop(entry)
                entry.version_id = "null"
                versions.set(entry.key, entry)
        return versions

    def take(self, entry: Any) -> None:  # noqa: ANN401
        """Take an object that has a record, as the newest of its key."""
        super().set(entry.key, entry)
        entry.is_current = True

    def set(self, object_key: str, s3_object: Any) -> None:  # noqa: ANN401
        """Keep an object as the newest of its key."""
        with self.records.lock:
            self.records.put(s3_object, self.get(object_key, s3_object.version_id))
            super().set(object_key, s3_object)
            self.records.show(object_key, s3_object)

    def pop(self, object_key: str, version_id: str | None = None, default: Any = None) -> Any:  # noqa: ANN401
        """Remove a version."""
        with self.records.lock:
            if (stored := self.get(object_key, version_id)) is not None:
                self.records.drop(stored)
            popped = super().pop(object_key, version_id, default)
            self.records.show(object_key, self.get(object_key))
            return popped


def _key(entry: Any) -> str:  # noqa: ANN401
    return f"{entry.version_id or ''}/{entry.key}"


def packed(entry: Any) -> str:  # noqa: ANN401
    """Return everything that LocalStack knows of an object, as JSON."""
    fields = {name: _numbered(value) for name, value in vars(entry).items()}
    return json.dumps({"is": type(entry).__name__, **fields}, default=_time)


def unpacked(body: str) -> Any:  # noqa: ANN401
    """Return the object or the delete marker that `packed` was given."""
    fields = json.loads(body, object_hook=_plain)
    kind = fields.pop("is")
    entry = S3Object(fields["key"]) if kind == "S3Object" else S3DeleteMarker(fields["key"], "")
    vars(entry).update(fields)
    return entry


def _numbered(value: Any) -> Any:  # noqa: ANN401
    """Return a dictionary with numbers as keys in a form for JSON: the parts of an upload have them."""
    if isinstance(value, dict) and value and all(isinstance(key, int) for key in value):
        return {_NUMBERED: list(value.items())}
    return value


def _time(value: object) -> dict[str, str]:
    if not isinstance(value, datetime.datetime):
        raise TypeError(f"an object cannot have {value!r}")
    return {_TIME: value.isoformat()}


def _plain(value: dict[str, Any]) -> Any:  # noqa: ANN401
    if value.keys() == {_TIME}:
        return datetime.datetime.fromisoformat(value[_TIME])
    return dict(value[_NUMBERED]) if value.keys() == {_NUMBERED} else value
