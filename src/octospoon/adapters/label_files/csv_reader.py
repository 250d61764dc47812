"""Read labels from CSV: a line of column names, then a row for each label."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from octospoon.adapters.label_files.rows import LONGEST_LINE, NO_IMAGE, NO_LABEL, LabelRow, lines
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

IMAGES = (
    *("key", "object_key", "image", "image_path", "file", "filename", "file_name", "path", "filepath"),
    *("file_path", "image_name", "uri", "url"),
)
"""Column names that can name the image; the first that a file has is used."""
LABELS = ("label", "class", "class_name", "category", "choice", "target", "labels", "classes")
"""Column names that can name the class."""
_DELIMITERS = (",", ";", "\t")


def read(path: Path, image_column: str = "", label_column: str = "") -> Iterator[LabelRow]:
    """Yield the labels of a CSV file, whose cells are separated by commas, semicolons or tabs.

    Args:
        path: of the file.
        image_column: name of the column with the image; empty for one of `IMAGES`.
        label_column: name of the column with the class; empty for one of `LABELS`.

    Raises:
        BadRequest: the file is not CSV, or lacks a column.
    """
    table = Table(path)
    image = table.column(image_column, IMAGES, "--image-column")
    label = table.column(label_column, LABELS, "--label-column")
    etag = table.names.index("etag") if "etag" in table.names else -1
    for place, row in table.rows():
        yield _row(place, row, image, label, etag)


class Table:
    """A CSV file that is open, with its line of column names read.

    Attributes:
        names: of the columns, in lower case.

    Args:
        path: of the file.

    Raises:
        BadRequest: the file is not CSV.
    """

    def __init__(self, path: Path) -> None:
        csv.field_size_limit(LONGEST_LINE)
        rest = lines(path)
        first = next(rest, "")
        self._path, self._table = (
            path,
            csv.reader(_both(first, rest), delimiter=max(_DELIMITERS, key=first.count)),
        )
        self.names = [name.strip().lower() for name in self._next() or ()]

    def column(self, asked: str, known: Sequence[str], option: str) -> int:
        """Return the position of a column: the one that was asked for, or the first that is known.

        Raises:
            BadRequest: there is none; `option` names another.
        """
        wanted = [asked.strip().lower()] if asked else known
        for name in wanted:
            if name in self.names:
                return self.names.index(name)
        shown = ", ".join(filter(None, self.names))[:200] or "nothing"
        raise BadRequest(
            f"{self._path}: the first line must name the columns, such as image,label. It has: {shown}. "
            f"{option} names another column"
        )

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the place and the cells of each row that is not empty; raises BadRequest if it is not CSV."""
        while (row := self._next()) is not None:
            if row:
                yield f"line {self._table.line_num}", row

    def _next(self) -> list[str] | None:
        try:
            return next(self._table, None)
        except csv.Error as error:
            place = f"line {self._table.line_num}"
            raise BadRequest(f"{self._path}, {place}: not CSV ({error})") from error


def _both(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _row(place: str, row: Sequence[str], image: int, label: int, etag: int) -> LabelRow:
    cells = [*row, *[""] * (max(image, label, etag) + 1 - len(row))]
    if not cells[image].strip():
        return LabelRow(place, "", problem=NO_IMAGE)
    name = cells[label].strip()
    known = cells[etag].strip() if etag >= 0 else ""
    return LabelRow(place, cells[image], name, "" if name else NO_LABEL, etag=known)
