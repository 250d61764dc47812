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
    csv.field_size_limit(LONGEST_LINE)
    rows = lines(path)
    first = next(rows, "")
    delimiter = max(_DELIMITERS, key=first.count)
    table = csv.reader(_both(first, rows), delimiter=delimiter)
    try:
        names = [name.strip().lower() for name in next(table, [])]
        image = _column(path, names, image_column, IMAGES, "--image-column")
        label = _column(path, names, label_column, LABELS, "--label-column")
        etag = names.index("etag") if "etag" in names else -1
        for row in table:
            if row:
                yield _row(f"line {table.line_num}", row, image, label, etag)
    except csv.Error as error:
        raise BadRequest(f"{path}, line {table.line_num}: not CSV ({error})") from error


def _both(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _column(path: Path, names: Sequence[str], asked: str, known: Sequence[str], option: str) -> int:
    wanted = [asked.strip().lower()] if asked else known
    for name in wanted:
        if name in names:
            return names.index(name)
    shown = ", ".join(filter(None, names))[:200] or "nothing"
    raise BadRequest(
        f"{path}: the first line must name the columns, such as image,label. It has: {shown}. {option} names "
        "another column"
    )


def _row(place: str, row: Sequence[str], image: int, label: int, etag: int) -> LabelRow:
    cells = [*row, *[""] * (max(image, label, etag) + 1 - len(row))]
    if not cells[image].strip():
        return LabelRow(place, "", problem=NO_IMAGE)
    name = cells[label].strip()
    known = cells[etag].strip() if etag >= 0 else ""
    return LabelRow(place, cells[image], name, "" if name else NO_LABEL, etag=known)
