"""The files of S3 objects. A file is written once; a record of the store makes it an object."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from localstack.services.s3.storage.ephemeral import (
    EphemeralS3ObjectStore,
    EphemeralS3StoredObject,
    LockedFileMixin,
)

if TYPE_CHECKING:
    from pathlib import Path

_STORED_AS = "stored_as"
"""The attribute of an S3 object with the name of its file."""


class ObjectFile(LockedFileMixin):
    """The bytes of one object, in a file that is open only while somebody reads or writes.

    Every write begins a new file. So the bytes of an earlier write stay until the new ones are complete.

    Args:
        folder: of all files.
        name: of the file; empty for an object without bytes.
    """

    def __init__(self, folder: Path, name: str = "") -> None:
        super().__init__()
        self._folder = folder
        self._open: BinaryIO | None = None
        self.name = name

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self._folder / self.name

    def truncate(self, size: int | None = None) -> int:
        """Begin a new, empty file; only this size is possible."""
        if size:
            raise NotImplementedError("objects are written from their beginning")
        self.release()
        name = uuid.uuid4().hex
        self.name = f"{name[:2]}/{name}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open = cast("BinaryIO", self.path.open("w+b"))
        return 0

    def write(self, data: bytes) -> int:
        """Write at the current position."""
        return self._file().write(data)

    def read(self, size: int = -1) -> bytes:
        """Read at the current position."""
        return self._file().read(size) if self.name else b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Change the position."""
        return self._file().seek(offset, whence) if self.name else 0

    def tell(self) -> int:
        """Return the current position."""
        return self._file().tell() if self.name else 0

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._open is not None:
            self._open.flush()

    def release(self) -> None:
        """Close the file until the next use."""
        with self.position_lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def close(self) -> None:
        """Remove the file."""
        self.release()
        if self.name:
            self.path.unlink(missing_ok=True)

    def _file(self) -> BinaryIO:
        if self._open is None:
            self._open = cast("BinaryIO", self.path.open("r+b"))
        return self._open


class StoredObject(EphemeralS3StoredObject):
    """An object that is read or written."""

    def close(self) -> None:
        """Close the file too, which opens again when another reader needs it."""
        if not self.closed:
            self.file.release()
            super().close()


class FileStore(EphemeralS3ObjectStore):
    """LocalStack's store, with a named file for each object.

    Args:
        folder: of the files. The parts of an unfinished upload are in a temporary folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def open(self, bucket: str, s3_object: Any, mode: str = "r") -> StoredObject:  # noqa: ANN401
        """Open an object to read or write it."""
        return StoredObject(s3_object, self.file_of(bucket, s3_object), mode)

    def file_of(self, bucket: str, s3_object: Any) -> ObjectFile:  # noqa: ANN401
        """Return the file of an object; for a new object, the file that it replaces."""
        files, key = self._filesystem[bucket]["keys"], self._key_from_s3_object(s3_object)
        name = getattr(s3_object, _STORED_AS, "")
        file: ObjectFile = files.setdefault(key, ObjectFile(self._folder, name))
        if name and file.name != name:  # a later write of this key did not succeed
            file = files[key] = ObjectFile(self._folder, name)
        return file

    def remove(self, bucket: str, s3_object: Any) -> None:  # noqa: ANN401
        """Remove the files of an object or of a list of objects."""
        for removed in s3_object if isinstance(s3_object, list) else [s3_object]:
            self.file_of(bucket, removed).close()
            self._filesystem[bucket]["keys"].pop(self._key_from_s3_object(removed), None)

    def complete(self, bucket: str, s3_object: Any) -> Path | None:  # noqa: ANN401
        """Note on an object which file it has; return the path of the file, None for a delete marker."""
        if not hasattr(s3_object, "etag"):
            return None
        file = self.file_of(bucket, s3_object)
        if not file.name:  # an object without bytes
            file.truncate()
        file.flush()
        setattr(s3_object, _STORED_AS, file.name)
        return file.path

    def path_of(self, s3_object: Any) -> Path | None:  # noqa: ANN401
        """Return the path of a complete object's file; None for a delete marker."""
        name = getattr(s3_object, _STORED_AS, "")
        return self._folder / name if name else None

    def close(self) -> None:
        """Keep every file: LocalStack would remove what it has."""
