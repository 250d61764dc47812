"""Records in an SQLite database: the state of a LocalStack, on disk after every request.

A change is in the database's write-ahead log before `write` returns, so a killed process loses nothing. The
log is forced to the disk every two seconds: a power failure loses the changes since then. SQLite drops an
incomplete end of the log by itself.

This module uses the standard library only.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LOG = logging.getLogger(__name__)
MIGRATIONS = (
    """
    CREATE TABLE records (
        space TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (space, key)
    );
    CREATE TABLE seed (value BLOB NOT NULL);
    """,
)
"""Each brings a database to the next version. `PRAGMA user_version` counts those that were applied."""

_SEED_BYTES = 32
_INTERVAL = 2.0
_EVERYTHING = 500
"""Number of new files from which one sync of all file systems is quicker than one for each file."""


class NewerStore(Exception):
    """A newer version of this program wrote the database."""


class Change(NamedTuple):
    """A record to write, or to remove if it has no body."""

    space: str
    key: str
    body: str | None


class Store:
    """Records with a space, a key and a text. They keep the order in which they were first written.

    Args:
        path: of the database, which is created if it does not exist.

    Raises:
        NewerStore: a newer version of this program wrote the database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = _connect(path)
        self._lock = threading.Lock()
        self._unsynced: list[Path] = []
        self._migrate()
        self.seed = self._seed()
        """Random bytes that were drawn when the database was created."""

    def write(self, changes: Iterable[Change], files: Iterable[Path] = ()) -> None:
        """Make changes, all of them or none.

        Args:
            changes: in their order.
            files: complete files that the new records name. They reach the disk no later than the records.
        """
        with self._lock, self._transaction():
            for space, key, body in changes:
                if body is None:
                    self._connection.execute("DELETE FROM records WHERE space = ? AND key = ?", (space, key))
                else:
                    self._connection.execute(
                        "INSERT INTO records VALUES (?, ?, ?)"
                        " ON CONFLICT (space, key) DO UPDATE SET body = excluded.body",
                        (space, key, body),
                    )
            self._unsynced += files

    def read(self, space: str) -> list[tuple[str, str]]:
        """Return key and text of every record of a space, the first written first."""
        with self._lock:
            query = "SELECT key, body FROM records WHERE space = ? ORDER BY rowid"
            return self._connection.execute(query, (space,)).fetchall()

    def clear(self, space: str) -> None:
        """Remove every record of a space."""
        with self._lock, self._transaction():
            self._connection.execute("DELETE FROM records WHERE space = ?", (space,))

    def sync(self) -> None:
        """Force to the disk what was written until now, the files before the records that name them."""
        with self._lock:
            files, self._unsynced = self._unsynced, []
        _force(files)
        connection = _connect(self.path)  # its own, so that writers need not wait
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()

    def close(self) -> None:
        """Force everything to the disk and close the database."""
        self.sync()
        with self._lock:
            self._connection.close()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise NewerStore(
                f"{self.path} has version {version}, and this program reads up to {len(MIGRATIONS)}"
            )
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            self._connection.executescript(f"BEGIN; {migration} PRAGMA user_version = {number}; COMMIT;")

    def _seed(self) -> bytes:
        with self._transaction():
            row = self._connection.execute("SELECT value FROM seed").fetchone()
            if row is None:
                row = (secrets.token_bytes(_SEED_BYTES),)
                self._connection.execute("INSERT INTO seed VALUES (?)", row)
        seed: bytes = row[0]
        return seed


class _Transaction:
    """A transaction that is rolled back if its block fails."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


class Syncing(threading.Thread):
    """Forces a store to the disk every two seconds, as long as the process runs.

    Args:
        store: to force.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(name="state-sync", daemon=True)
        self._store = store
        self._ended = threading.Event()

    def run(self) -> None:
        """Sync until the end. A failure, for example of a full disk, is logged and tried again."""
        while not self._ended.wait(_INTERVAL):
            try:
                self._store.sync()
            except (OSError, sqlite3.Error):
                LOG.exception("the state could not be forced to the disk")

    def end(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a sync at each checkpoint, none at each commit
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # `sync` makes all checkpoints
    return connection


def _force(files: list[Path]) -> None:
    if len(files) > _EVERYTHING:
        os.sync()
        return
    for path in [*files, *dict.fromkeys(path.parent for path in files)]:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # it was removed meanwhile
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
