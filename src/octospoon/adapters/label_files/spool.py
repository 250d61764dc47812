"""Rows on disk, for data that may be larger than memory: written in any order, read in the order of keys."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_AT_ONCE = 10_000
_PRAGMAS = ("journal_mode=OFF", "synchronous=OFF", "cache_size=-64000", "temp_store=FILE")
T = TypeVar("T")


@contextmanager
def temporary_database() -> Iterator[sqlite3.Connection]:
    """Open an empty database in a temporary folder, and remove it at the end. A crash loses it."""
    with TemporaryDirectory(prefix="octospoon-") as folder:
        database = sqlite3.connect(Path(folder) / "rows.sqlite", isolation_level=None)
        with closing(database):
            for pragma in _PRAGMAS:
                database.execute(f"PRAGMA {pragma}")
            yield database


def insert(database: sqlite3.Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Run a statement for each of many rows, which are read as they are needed."""
    rest = iter(rows)
    while part := list(islice(rest, _AT_ONCE)):
        database.execute("BEGIN")
        database.executemany(statement, part)
        database.execute("COMMIT")


class Spool(Generic[T]):
    """Rows of one type, by ascending key; they can be read any number of times."""

    def __init__(self, kind: type[T], database: sqlite3.Connection) -> None:
        self._kind = kind
        self._database = database

    def __iter__(self) -> Iterator[T]:
        """Yield the rows by ascending key."""
        decoder = msgspec.msgpack.Decoder(self._kind)
        for (row,) in self._database.execute("SELECT row FROM rows ORDER BY key"):
            yield decoder.decode(row)

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM rows").fetchone()[0])


@contextmanager
def spooled(kind: type[T], rows: Iterable[tuple[str, T]]) -> Iterator[Spool[T]]:
    """Write rows to a temporary file and return them sorted.

    Args:
        kind: the type of the rows, such as a dataclass.
        rows: the rows, each with its key; a later row replaces an earlier one with the same key.
    """
    with temporary_database() as database:
        database.execute("CREATE TABLE rows (key TEXT PRIMARY KEY, row BLOB) WITHOUT ROWID")
        encoded = ((key, msgspec.msgpack.encode(row)) for key, row in rows)
        insert(database, "INSERT OR REPLACE INTO rows VALUES (?, ?)", encoded)
        yield Spool(kind, database)
