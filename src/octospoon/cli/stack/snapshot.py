"""Copy a data folder while its servers run: each database as of one moment, each other file by a link."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER = b"SQLite format 3\x00"
_BESIDE_A_DATABASE = ("-wal", "-shm", "-journal")
_TEMPORARY = ("localstack/filesystem", "localstack/.cache")
"""LocalStack's own files; the template is deployed anew."""


def snapshot(source: Path, target: Path) -> None:
    """Copy a data folder.

    Other files are written once and never changed, so a link is a copy. They are linked before and after the
    databases are copied: then the files that a database names are there, also those that came or went
    meanwhile.

    Args:
        source: the data of a stack, which may run.
        target: a new folder in the same file system.
    """
    databases = []
    for path in _files(source):
        if _is_database(path):
            databases.append(path)
        else:
            _link(path, target / path.relative_to(source))
    for path in databases:
        copy_database(path, target / path.relative_to(source))
    for path in _files(source):
        copy = target / path.relative_to(source)
        if not copy.exists():
            _link(path, copy)


def _files(source: Path) -> Iterator[Path]:
    temporary = [source / name for name in _TEMPORARY]
    for folder, folders, names in os.walk(source):
        here = source / os.path.relpath(folder, source)
        folders[:] = [name for name in folders if here / name not in temporary]
        for name in names:
            path = here / name
            if path.is_file() and not path.is_symlink() and not name.endswith(_BESIDE_A_DATABASE):
                yield path


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except FileNotFoundError:  # it was removed meanwhile
        return False


def _link(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
        os.link(path, copy)


def copy_database(path: Path, copy: Path) -> None:
    """Copy an SQLite database, also while a program writes to it.

    Args:
        path: of the database.
        copy: a new or an empty file; its folder is created.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.closing(sqlite3.connect(path, timeout=60)) as running,
        contextlib.closing(sqlite3.connect(copy)) as copied,
    ):
        running.backup(copied)
        copied.execute("PRAGMA journal_mode = DELETE")
