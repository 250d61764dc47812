"""Whether the data of a stopped stack can be used again."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from importlib.metadata import version
from typing import TYPE_CHECKING

from octospoon.adapters.files import draft_of
from octospoon.cli.stack.services import DATABASES, LABEL_STUDIO, LOCALSTACK, OBJECTS

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.stack.layout import Layout

FORMAT = 1
"""The format of the data folder. A release that changes it must bring older folders to it here."""
_STAMP = "format.json"


def mark(layout: Layout) -> None:
    """Write the format of the data into a new data folder."""
    stamp = layout.data / _STAMP
    if not stamp.exists():
        layout.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with draft_of(stamp) as draft:
            draft.write_text(json.dumps({"format": FORMAT, "octospoon": version("octospoon")}))


def problem(layout: Layout, stopped: set[str]) -> str:
    """Return why the data cannot be used again; empty if they can, or if there are none.

    Args:
        layout: of the checkout.
        stopped: names of the servers that do not run. Only their databases are checked.
    """
    if not holds_files(layout.data):
        return ""
    try:
        stamp = json.loads((layout.data / _STAMP).read_text())
        wrote, by = int(stamp["format"]), stamp["octospoon"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{_STAMP} is missing or cannot be read"
    if wrote > FORMAT:
        return f"octospoon {by}, a newer version, wrote them. To use them, install that version"
    return _damage(layout, stopped)


def holds_files(folder: Path) -> bool:
    """Return whether there is anything but folders in a folder."""
    return folder.is_dir() and any(not path.is_dir() or path.is_symlink() for path in folder.rglob("*"))


def _damage(layout: Layout, stopped: set[str]) -> str:
    complete = layout.resumed_project.exists()
    for name in sorted(stopped & DATABASES.keys()):
        database = layout.data / name / DATABASES[name]
        if not database.is_file():
            if complete:
                return f"{database.relative_to(layout.data)} is missing"
        elif error := _error(database):
            return f"{database.relative_to(layout.data)} is damaged ({error})"
    return ""


def _error(database: Path) -> str:
    """Return the error that SQLite reports for a database; empty if it is valid."""
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            (first,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if first == "ok" else str(first)


def figures(layout: Layout) -> dict[str, int]:
    """Return a description of a data folder: the numbers of annotations and of stored objects."""
    labels = annotation_count(layout.data)
    objects = layout.data / LOCALSTACK / OBJECTS
    counts = {} if labels is None else {"annotations": labels}
    return counts | {"objects": sum(1 for path in objects.rglob("*") if path.is_file())}


def annotation_count(folder: Path) -> int | None:
    """Return the number of annotations in a data folder; None if its database cannot be read."""
    database = folder / LABEL_STUDIO / DATABASES[LABEL_STUDIO]
    if not database.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            return int(connection.execute("SELECT count(*) FROM task_completion").fetchone()[0])
    except sqlite3.Error:
        return None
