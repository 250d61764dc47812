"""Read boxes from CSV: a row for each box, or an image's whole label in one cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from octospoon.adapters.label_files import csv_reader
from octospoon.adapters.label_files.drawn import Drawn, DrawnBox, from_sides, number
from octospoon.adapters.label_files.rows import NO_IMAGE, LabelRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from octospoon.adapters.label_files.csv_reader import Table

CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
"""Column names of a box's edges; the first four that a file has are used."""
SIDES = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)
"""Column names of a box's top left corner, width and height, where a file has none of `CORNERS`."""
_SIZES = (("image_width", "image_height"), ("img_width", "img_height"), ("width", "height"))
_LARGEST_SHARE = 1.5
"""Shares may lie a little beyond the edge. A file whose boxes mostly stay below this has no pixels."""


class _Columns(NamedTuple):
    """Positions of the columns; `size` is empty if the file has no size of the image."""

    image: int
    label: int
    box: tuple[int, ...]
    corners: bool
    size: tuple[int, ...]


def read(path: Path, image_column: str = "", label_column: str = "") -> Iterator[LabelRow]:
    """Yield a row for each box. A row without class and box is an image without objects.

    A file without columns of boxes has the whole label of an image in its column with the class. Numbers are
    pixels, or shares of the image if most boxes are no larger than one.

    Args:
        path: of the file.
        image_column: see `csv_reader.read`.
        label_column: see `csv_reader.read`.

    Raises:
        BadRequest: the file is not CSV, or lacks a column.
    """
    table = csv_reader.Table(path)
    columns = _columns(table, image_column, label_column)
    if columns is None:
        yield from csv_reader.read(path, image_column, label_column)
        return
    pixels = not _are_shares(csv_reader.Table(path), columns)
    for place, row in table.rows():
        yield _row(place, row, columns, pixels=pixels)


def _columns(table: Table, image_column: str, label_column: str) -> _Columns | None:
    names = table.names
    layouts = [(box, kind is CORNERS) for kind in (CORNERS, SIDES) for box in kind if {*box} <= {*names}]
    if not layouts:
        return None
    box, corners = layouts[0]
    sizes = [pair for pair in _SIZES if {*pair} <= {*names} - {*box}]
    return _Columns(
        table.column(image_column, csv_reader.IMAGES, "--image-column"),
        table.column(label_column, csv_reader.LABELS, "--label-column"),
        tuple(map(names.index, box)),
        corners,
        tuple(map(names.index, sizes[0])) if sizes else (),
    )


def _are_shares(table: Table, columns: _Columns) -> bool:
    """Return whether most boxes of a file are in shares; a box of pixels is rarely as small."""
    shares = boxes = 0
    for _, row in table.rows():
        values = [value for value in _numbers(row, columns.box) if math.isfinite(value)]
        boxes += bool(values)
        shares += bool(values) and max(values) <= _LARGEST_SHARE
    return 2 * shares > boxes


def _row(place: str, row: Sequence[str], columns: _Columns, *, pixels: bool) -> LabelRow:
    image, name = _cell(row, columns.image), _cell(row, columns.label).strip()
    if not image.strip():
        return LabelRow(place, "", problem=NO_IMAGE)
    cells = [_cell(row, at).strip() for at in columns.box]
    size = _size(row, columns) if pixels else (1.0, 1.0)
    if not name and not any(cells):
        return LabelRow(place, image, drawn=Drawn((), size, pixels))
    first, second, third, fourth = _numbers(row, columns.box)
    corners = (first, second, third, fourth)
    box = DrawnBox(place, name, corners if columns.corners else from_sides(*corners))
    return LabelRow(place, image, drawn=Drawn((box,), size, pixels, whole=False))


def _size(row: Sequence[str], columns: _Columns) -> tuple[float, float] | None:
    if not columns.size:
        return None
    width, height = _numbers(row, columns.size)
    return width, height


def _numbers(row: Sequence[str], places: tuple[int, ...]) -> list[float]:
    return [number(_cell(row, at)) for at in places]


def _cell(row: Sequence[str], at: int) -> str:
    return row[at] if at < len(row) else ""
