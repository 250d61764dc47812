"""A folder in which people find the newest version of each S3 object under its key."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

ODD_KEYS = "odd-keys"
_LONGEST = 240


def link(folder: Path, bucket: str, key: str, stored: Path) -> None:
    """Show a stored file under bucket and key, instead of an earlier one."""
    target = path_of(folder, bucket, key)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{os.getpid()}-{stored.name}")
    os.link(stored, draft)
    draft.replace(target)


def unlink(folder: Path, bucket: str, key: str) -> None:
    """Show nothing under bucket and key."""
    path_of(folder, bucket, key).unlink(missing_ok=True)


def path_of(folder: Path, bucket: str, key: str) -> Path:
    """Return where an object is shown: at its key, or at a quoted name if the key is no relative path."""
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
