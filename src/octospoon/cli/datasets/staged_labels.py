"""Labels on their way into a deployment: each image once, sorted, with a memory that does not grow."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from octospoon.adapters.label_files.spool import insert, temporary_database
from octospoon.cli.datasets.uploads import ODD_KEY, Skipped
from octospoon.domain.pool.keys import KEY_BYTES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from octospoon.adapters.label_files.locate import Located
    from octospoon.adapters.label_files.rows import LabelRow

CONTRADICTION = "with two classes in the source: correct it there"
_TABLE = """
CREATE TABLE labels (
    key TEXT PRIMARY KEY, label TEXT, file TEXT, etag TEXT, place TEXT, other TEXT
) WITHOUT ROWID
"""
_INSERT = """
INSERT INTO labels VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (key) DO UPDATE SET
other = CASE WHEN excluded.label <> label THEN coalesce(other, excluded.place) ELSE other END
"""


class StagedLabel(NamedTuple):
    """One label to import.

    Attributes:
        key: object key of the image.
        label: the class.
        file: the image on this disk; None if it is in the bucket.
        etag: identity of the bytes, as the source names it; empty if it does not.
    """

    key: str
    label: str
    file: str | None
    etag: str


class StagedLabels:
    """The labels of one source.

    Attributes:
        rows: number of rows of the source.
        skipped: rows without a label that can be used, by reason.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self.rows = 0
        self.skipped = Skipped()
        self._database = database
        database.execute(_TABLE)

    def add(
        self, rows: Iterable[LabelRow], locate: Callable[[LabelRow], Located], class_of: Callable[[str], str]
    ) -> None:
        """Add rows.

        Args:
            rows: of the source.
            locate: finds the image of a row.
            class_of: gives the class for a name of the source.
        """
        insert(self._database, _INSERT, self._usable(rows, locate, class_of))
        for key, place, other in self._database.execute(
            "SELECT key, place, other FROM labels WHERE other IS NOT NULL ORDER BY key"
        ):
            self.skipped.add(CONTRADICTION, f"{key} ({place} and {other})")

    def _usable(
        self, rows: Iterable[LabelRow], locate: Callable[[LabelRow], Located], class_of: Callable[[str], str]
    ) -> Iterator[tuple[object, ...]]:
        for row in rows:
            self.rows += 1
            if row.problem:
                self.skipped.add(row.problem, row.place)
                continue
            image = locate(row)
            if problem := image.problem or _problem(image.key):
                self.skipped.add(problem, row.place)
                continue
            yield image.key, class_of(row.label), image.file, row.etag, row.place

    def classes(self) -> dict[str, int]:
        """Return the number of images of each class, by name."""
        counted = "SELECT label, count(*) FROM labels WHERE other IS NULL GROUP BY label ORDER BY label"
        return dict(self._database.execute(counted))

    def pages(self, classes: Iterable[str], limit: int) -> Iterator[list[StagedLabel]]:
        """Yield the labels of these classes by ascending key, up to `limit` at a time."""
        known = list(classes)
        marks = ", ".join("?" * len(known))
        cursor = self._database.execute(
            f"SELECT key, label, file, etag FROM labels WHERE other IS NULL AND label IN ({marks}) "  # noqa: S608 - marks only
            "ORDER BY key",
            known,
        )
        while page := cursor.fetchmany(limit):
            yield [StagedLabel(*row) for row in page]


def _problem(key: str) -> str:
    try:
        return "" if key and len(key.encode()) <= KEY_BYTES and "\0" not in key else ODD_KEY
    except UnicodeEncodeError:
        return ODD_KEY


@contextmanager
def staged(
    rows: Iterable[LabelRow], locate: Callable[[LabelRow], Located], class_of: Callable[[str], str]
) -> Iterator[StagedLabels]:
    """Read all rows of a source; see `StagedLabels.add` for the arguments."""
    with temporary_database() as database:
        labels = StagedLabels(database)
        labels.add(rows, locate, class_of)
        yield labels
