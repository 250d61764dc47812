"""Labels on their way into a deployment: each image once, sorted, with a memory that does not grow."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from octospoon.adapters.label_files.spool import insert, temporary_database
from octospoon.cli.datasets.uploads import ODD_KEY, Skipped
from octospoon.domain.pool.keys import KEY_BYTES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from octospoon.adapters.label_files.locate import Located
    from octospoon.adapters.label_files.rows import LabelRow
    from octospoon.cli.datasets.row_labels import RowLabels

_TABLE = """
CREATE TABLE labels (
    key TEXT PRIMARY KEY, label TEXT, file TEXT, etag TEXT, place TEXT, other TEXT, whole INTEGER
) WITHOUT ROWID
"""
_INSERT = """
INSERT INTO labels VALUES (?, ?, ?, ?, ?, NULL, ?) ON CONFLICT (key) DO UPDATE SET
other = CASE WHEN excluded.label <> label AND (whole OR excluded.whole) THEN coalesce(other, excluded.place)
    ELSE other END,
label = CASE WHEN whole OR excluded.whole THEN label ELSE joined(label, excluded.label) END
"""
_SETTLE = "UPDATE labels SET label = settled(label) WHERE NOT whole"
_REFUSE = "UPDATE labels SET other = place WHERE other IS NULL AND problem(label) <> ''"


class StagedLabel(NamedTuple):
    """One label to import.

    Attributes:
        key: object key of the image.
        label: in its stored form.
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
        left_out: parts of labels that are left out, such as single boxes, by reason.
        cut: number of boxes that were cut off at an edge of their image.

    Args:
        database: an empty one.
        meaning: gives the labels of rows.
    """

    def __init__(self, database: sqlite3.Connection, meaning: RowLabels) -> None:
        self.rows = 0
        self.skipped, self.left_out, self.cut = Skipped(), Skipped(), 0
        self._database = database
        self._meaning = meaning
        database.create_function("joined", 2, meaning.joined, deterministic=True)
        database.create_function("settled", 1, meaning.settled, deterministic=True)
        database.create_function("problem", 1, meaning.problem, deterministic=True)
        database.execute(_TABLE)

    def add(self, rows: Iterable[LabelRow], locate: Callable[[LabelRow], Located]) -> None:
        """Add rows.

        Args:
            rows: of the source.
            locate: finds the image of a row.
        """
        insert(self._database, _INSERT, self._usable(rows, locate))
        self._database.execute(_SETTLE)
        self._database.execute(_REFUSE)
        for key, label, place, other in self._database.execute(
            "SELECT key, label, place, other FROM labels WHERE other IS NOT NULL ORDER BY key"
        ):
            reason = self._meaning.problem(label)
            named = f"{key} ({place})" if reason else f"{key} ({place} and {other})"
            self.skipped.add(reason or self._meaning.contradiction, named)

    def _usable(
        self, rows: Iterable[LabelRow], locate: Callable[[LabelRow], Located]
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
            given = self._meaning.of(row, image.file)
            for reason, place in given.left_out:
                self.left_out.add(reason, place)
            self.cut += len(given.cut)
            if given.label is not None:
                yield image.key, given.label, image.file, row.etag, row.place, given.whole

    def classes(self) -> dict[str, int]:
        """Return the number of images of each class by name, and of those that are left out."""
        counts = Counter(self._meaning.unknown)
        counted = "SELECT label, count(*) FROM labels WHERE other IS NULL GROUP BY label"
        for label, images in self._database.execute(counted):
            counts.update(dict.fromkeys(self._meaning.classes(label), images))
        return dict(sorted(counts.items()))

    def count(self, classes: Iterable[str]) -> int:
        """Return the number of images whose labels have these classes alone."""
        known = frozenset(classes)
        counted = "SELECT label, count(*) FROM labels WHERE other IS NULL GROUP BY label"
        return sum(images for label, images in self._database.execute(counted) if self._among(label, known))

    def pages(self, classes: Iterable[str], limit: int) -> Iterator[list[StagedLabel]]:
        """Yield the labels of these classes alone by ascending key, up to `limit` at a time."""
        known = frozenset(classes)
        cursor = self._database.execute(
            "SELECT key, label, file, etag FROM labels WHERE other IS NULL ORDER BY key"
        )
        labels = (StagedLabel(*row) for row in cursor if self._among(row[1], known))
        while page := list(islice(labels, limit)):
            yield page

    def _among(self, label: str, known: frozenset[str]) -> bool:
        return known.issuperset(self._meaning.classes(label))


def _problem(key: str) -> str:
    try:
        return "" if key and len(key.encode()) <= KEY_BYTES and "\0" not in key else ODD_KEY
    except UnicodeEncodeError:
        return ODD_KEY


@contextmanager
def staged(
    rows: Iterable[LabelRow], locate: Callable[[LabelRow], Located], meaning: RowLabels
) -> Iterator[StagedLabels]:
    """Read all rows of a source; see `StagedLabels` for the arguments."""
    with temporary_database() as database:
        labels = StagedLabels(database, meaning)
        labels.add(rows, locate)
        yield labels
