"""Read labels from COCO JSON: the boxes of an image are its annotations, and its classes their categories."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_files.drawn import Drawn, DrawnBox, from_sides, number
from octospoon.adapters.label_files.json_stream import elements
from octospoon.adapters.label_files.rows import NO_IMAGE, LabelRow
from octospoon.adapters.label_files.spool import insert, temporary_database
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NO_BOX = "annotations without a box"
CROWD = "boxes of a crowd, which is not one object"
_TABLES = """
CREATE TABLE images (id TEXT PRIMARY KEY, name TEXT, width REAL, height REAL) WITHOUT ROWID;
CREATE TABLE categories (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
CREATE TABLE annotations (
    number INTEGER PRIMARY KEY, image TEXT, category TEXT, place TEXT, problem TEXT,
    x REAL, y REAL, w REAL, h REAL
);
"""
_INDEX = "CREATE INDEX by_image ON annotations (image, category, number)"
_INSERTS = {
    "images": "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?)",
    "categories": "INSERT OR REPLACE INTO categories VALUES (?, ?)",
    "annotations": "INSERT INTO annotations VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
}
_NEEDED = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "category_id"),
}
_LABELS = """
SELECT images.id, images.name, width, height,
    annotations.category, categories.name, place, problem, x, y, w, h
FROM images
LEFT JOIN annotations ON annotations.image = images.id
LEFT JOIN categories ON categories.id = annotations.category
ORDER BY images.id, annotations.category, annotations.number
"""
_LOST = """
SELECT place, image FROM annotations WHERE image NOT IN (SELECT id FROM images) ORDER BY number
"""
_BOX = 4


def read(path: Path) -> Iterator[LabelRow]:
    """Yield a row for each image with its boxes, in pixels.

    Images, categories and annotations may come in any order. An annotation without a box has a class only.

    Raises:
        BadRequest: the file is not COCO JSON.
    """
    with temporary_database() as database:
        database.executescript(_TABLES)
        _load(database, path)
        database.execute(_INDEX)
        rows = database.execute(_LABELS)
        for (image, name, width, height), drawn in groupby(rows, lambda row: row[:4]):
            boxes = tuple(_box(*row[4:]) for row in drawn if row[4] is not None)
            size = None if width is None or height is None else (width, height)
            yield LabelRow(f"image {image}", name, drawn=Drawn(boxes, size, pixels=True))
        for place, image in database.execute(_LOST):
            yield LabelRow(f"{place} of image {image}", "", problem=NO_IMAGE)


def _box(category: str, name: str | None, place: str, problem: str, *sides: float | None) -> DrawnBox:
    if name is None:
        return DrawnBox(place, "", (math.nan,) * 4, f"with category {category}, which the file does not list")
    left, top, width, height = (math.nan if side is None else side for side in sides)
    return DrawnBox(place, name.strip(), from_sides(left, top, width, height), problem)


def _load(database: sqlite3.Connection, path: Path) -> None:
    seen: set[str] = set()
    waiting: dict[str, list[tuple[object, ...]]] = {name: [] for name in _INSERTS}

    def flush(name: str) -> None:
        insert(database, _INSERTS[name], waiting[name])
        waiting[name].clear()

    for name, element in elements(path):
        if name in _INSERTS:
            seen.add(name)
            waiting[name].append(_row(path, name, element))
            if len(waiting[name]) >= 10_000:
                flush(name)
    for name in _INSERTS:
        flush(name)
    if "images" not in seen or ("annotations" in seen and "categories" not in seen):
        raise BadRequest(f"{path} is not COCO JSON: it has no images or no categories")


def _row(path: Path, name: str, element: Any) -> tuple[object, ...]:  # noqa: ANN401 - JSON
    first, second = _NEEDED[name]
    if not isinstance(element, dict) or element.get(first) is None or element.get(second) is None:
        raise BadRequest(f"{path}: one of its {name} has no {first} or no {second}")
    pair = str(element[first]), str(element[second])
    if name == "images":
        return (*pair, _size(element, "width"), _size(element, "height"))
    return pair if name == "categories" else (*pair, *_annotation(element))


def _size(element: Mapping[str, Any], side: str) -> float | None:
    value = number(element.get(side))
    return value if math.isfinite(value) else None


def _annotation(element: Mapping[str, Any]) -> tuple[object, ...]:
    """Return place, problem and box; SQLite stores NaN as NULL."""
    place = f"annotation {element.get('id', '?')}"
    sides = element.get("bbox")
    if not isinstance(sides, list) or len(sides) != _BOX:
        return (place, NO_BOX, *[None] * _BOX)
    return (place, CROWD if element.get("iscrowd") else "", *map(number, sides))
