"""Read labels from COCO JSON: the class of an image is the category of its annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_files.json_stream import elements
from octospoon.adapters.label_files.rows import NO_LABEL, LabelRow
from octospoon.adapters.label_files.spool import insert, temporary_database
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_TABLES = """
CREATE TABLE images (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
CREATE TABLE categories (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
CREATE TABLE annotations (image TEXT, category TEXT, PRIMARY KEY (image, category)) WITHOUT ROWID;
"""
_INSERTS = {
    "images": ("INSERT OR REPLACE INTO images VALUES (?, ?)", ("id", "file_name")),
    "categories": ("INSERT OR REPLACE INTO categories VALUES (?, ?)", ("id", "name")),
    "annotations": ("INSERT OR IGNORE INTO annotations VALUES (?, ?)", ("image_id", "category_id")),
}
_LABELS = """
SELECT images.id, images.name, annotations.category, categories.name FROM images
LEFT JOIN annotations ON annotations.image = images.id
LEFT JOIN categories ON categories.id = annotations.category
ORDER BY images.id
"""


def read(path: Path) -> Iterator[LabelRow]:
    """Yield a row for each category of each image; an image with several categories has several rows.

    Images, categories and annotations may come in any order.

    Raises:
        BadRequest: the file is not COCO JSON.
    """
    with temporary_database() as database:
        database.executescript(_TABLES)
        _load(database, path)
        for image, name, category, label in database.execute(_LABELS):
            place = f"image {image}"
            if category is None:
                yield LabelRow(place, name, problem=NO_LABEL)
            elif label is None:
                yield LabelRow(place, name, problem=f"with category {category}, which the file does not list")
            else:
                yield LabelRow(place, name, label.strip(), "" if label.strip() else NO_LABEL)


def _load(database: sqlite3.Connection, path: Path) -> None:
    seen: set[str] = set()
    waiting: dict[str, list[tuple[str, str]]] = {name: [] for name in _INSERTS}

    def flush(name: str) -> None:
        insert(database, _INSERTS[name][0], waiting[name])
        waiting[name].clear()

    for name, element in elements(path):
        if name in _INSERTS:
            seen.add(name)
            waiting[name].append(_pair(path, name, element))
            if len(waiting[name]) >= 10_000:
                flush(name)
    for name in _INSERTS:
        flush(name)
    if not {"images", "categories"} <= seen:
        raise BadRequest(f"{path} is not COCO JSON: it has no images or no categories")


def _pair(path: Path, name: str, element: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON
    _, (first, second) = _INSERTS[name]
    if not isinstance(element, dict) or element.get(first) is None or element.get(second) is None:
        raise BadRequest(f"{path}: one of its {name} has no {first} or no {second}")
    return str(element[first]), str(element[second])
