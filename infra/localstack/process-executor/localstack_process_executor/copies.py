"""Keep a copy of every S3 object in the folder that S3_COPIES names, each under its key.

LocalStack holds objects in memory and in unnamed files, which are lost with its process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore, EphemeralS3StoredObject

if TYPE_CHECKING:
    from pathlib import Path

ODD_KEYS = "odd-keys"
_LONGEST = 240


class CopyingObject(EphemeralS3StoredObject):
    """An object that is being written; it is copied when it is complete."""

    copy_to: Path | None = None

    def close(self) -> None:
        """Copy the object, then let others read it."""
        try:
            if self.copy_to is not None and not self.file.closed and not self.closed:
                self._copy(self.copy_to)
        finally:
            super().close()

    def _copy(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{os.getpid()}-{id(self)}")
        try:
            with self.file.position_lock, draft.open("wb") as copy:
                self.file.seek(0)
                shutil.copyfileobj(self.file, copy)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


class CopyingStore(EphemeralS3ObjectStore):
    """LocalStack's store, with a copy of each object's newest version.

    Args:
        folder: of the copies, with one folder for each bucket.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._newest: dict[Path, object] = {}

    def open(self, bucket: str, s3_object: Any, mode: str = "r") -> Any:  # noqa: ANN401 - LocalStack's types
        """Open an object. Closing a written object copies it."""
        stored = super().open(bucket, s3_object, mode)
        if mode == "w":
            stored.__class__ = CopyingObject  # the store creates its objects itself
            stored.copy_to = path_of(self._folder, bucket, s3_object.key)
            self._newest[stored.copy_to] = s3_object.version_id
        return stored

    def remove(self, bucket: str, s3_object: Any) -> None:  # noqa: ANN401 - LocalStack's types
        """Remove objects, and their copies unless a newer version has replaced them."""
        super().remove(bucket, s3_object)
        for removed in s3_object if isinstance(s3_object, list) else [s3_object]:
            path = path_of(self._folder, bucket, removed.key)
            if self._newest.get(path, self) == removed.version_id:
                path.unlink(missing_ok=True)
                del self._newest[path]


def path_of(folder: Path, bucket: str, key: str) -> Path:
    """Return the path of an object's copy: its key, or a quoted name if the key is no relative path."""
    parts = key.split("/")
    plain = all(part not in ("", ".", "..") and len(part.encode()) <= _LONGEST for part in parts)
    path = folder / bucket / key
    if plain and "\0" not in key and not path.is_dir() and not _has_a_file_above(path, folder):
        return path
    quoted = quote(key, safe="")
    if len(quoted) > _LONGEST:
        quoted = f"{quoted[:150]}-{hashlib.sha256(key.encode()).hexdigest()}"
    return folder / ODD_KEYS / bucket / quoted


def _has_a_file_above(path: Path, folder: Path) -> bool:
    """Return True if a key such as `a` is a file where `a/b` needs a folder."""
    return any(parent.is_file() for parent in path.parents if parent.is_relative_to(folder))
