"""Label Studio's database as its migrations leave it, kept as SQL: to run them takes half a minute.

Nothing is lost when the file is older than the server, which applies what is missing when it starts.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.cli.stack.layout import Layout

DATABASE = "label_studio.sqlite3"
KEPT_ROWS = ("auth_permission", "core_asyncmigrationstatus", "django_content_type", "django_migrations")
MOMENT = re.compile(r"'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+'")


def seed_file(layout: Layout) -> Path:
    """Return the file that is kept with the sources."""
    return layout.root / "infra" / "label-studio" / "seed.sql"


def plant(layout: Layout, data: Path) -> None:
    """Make the database in an empty data folder."""
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as database:
        database.executescript(seed_file(layout).read_text())


def harvest(layout: Layout, data: Path) -> None:
    """Keep the database of a data folder: the schema and what migrations wrote, no user and no secret."""
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as database:
        seed_file(layout).write_text("".join(f"{statement}\n" for statement in _statements(database)))


def _statements(database: sqlite3.Connection) -> Iterator[str]:
    for statement in database.iterdump():
        table = re.match(r'INSERT INTO "(\w+)"', statement)
        if "sqlite_sequence" not in statement and (table is None or table[1] in KEPT_ROWS):
            yield MOMENT.sub("'2000-01-01 00:00:00'", statement)
