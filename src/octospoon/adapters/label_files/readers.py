"""Find out the format of labels, and read them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.adapters.label_files import (
    coco_reader,
    csv_reader,
    folder_reader,
    label_studio_reader,
    manifest_reader,
)
from octospoon.adapters.label_files.boxes import csv_boxes, voc
from octospoon.adapters.label_files.drawn import class_names
from octospoon.adapters.label_files.folders import MANIFEST
from octospoon.adapters.label_files.rows import NO_LABEL, LabelRow
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.domain.task_types.task_type import TaskType

FORMATS = ("folders", "csv", "coco", "yolo", "voc", "label-studio", "manifest")
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "manifest",
    ".ndjson": "manifest",
    ".yaml": "yolo",
    ".yml": "yolo",
    ".xml": "voc",
}
_PEEKED = 4096


@dataclass(frozen=True, slots=True)
class Columns:
    """The names in a file that differ from the usual ones; empty for the usual ones.

    Attributes:
        image: the column of a CSV file with the image.
        label: the column of a CSV file with the class, or with the whole label.
        control: the control in Label Studio with the classes.
    """

    image: str = ""
    label: str = ""
    control: str = ""


def format_of(source: Path) -> str:
    """Return the format of a file or folder of labels.

    Raises:
        BadRequest: it does not exist, or has no format that is known.
    """
    if source.is_dir():
        if (source / MANIFEST).is_file():
            return "manifest"
        if folder_reader.is_detection(source) or folder_reader.is_split(source):
            return "yolo"
        return "voc" if voc.is_voc(source) else "folders"
    if not source.is_file():
        raise BadRequest(f"{source} does not exist")
    if source.suffix.lower() == ".json":
        return _json_format(source)
    if source.suffix.lower() == ".zip":
        raise BadRequest(f"{source} is an archive: unpack it first")
    if (form := _SUFFIXES.get(source.suffix.lower())) is None:
        raise BadRequest(f"the name {source} does not say its format: add --format, one of {_listed()}")
    return form


def _json_format(source: Path) -> str:
    with source.open(encoding="utf-8-sig", errors="replace") as file:
        start = file.read(_PEEKED).lstrip()
    return "coco" if start.startswith("{") else "label-studio"


def read(source: Path, form: str, columns: Columns, task_type: TaskType) -> Iterator[LabelRow]:
    """Yield the labels of a file or folder; each is read when it is asked for.

    Args:
        source: the file or folder.
        form: one of `FORMATS`.
        columns: names in the file.
        task_type: the kind of label of the project.

    Raises:
        BadRequest: the format is unknown, or the file does not have it, or it cannot say this kind of label.
    """
    if form not in FORMATS:
        raise BadRequest(f"there is no format {form}: choose one of {_listed()}")
    if form in ("folders", "yolo", "voc") and not source.exists():
        raise BadRequest(f"{source} does not exist")
    if task_type.name != TaskTypeName.CLASSIFICATION and _says_one_class(source, form):
        raise BadRequest(
            f"a folder says one class of an image, and {task_type.name} needs all of them: give a CSV file, "
            "COCO JSON, YOLO's text files, Pascal VOC, or an export of Label Studio"
        )
    rows = _read(source, form, columns, task_type)
    return rows if task_type.name == TaskTypeName.DETECTION else _classes(rows)


def _read(source: Path, form: str, columns: Columns, task_type: TaskType) -> Iterator[LabelRow]:
    if form == "folders":
        return folder_reader.read_folders(source)
    if form == "yolo":
        return folder_reader.read_yolo(source)
    if form == "voc":
        return voc.read(source)
    if form == "manifest":
        return manifest_reader.read(source / MANIFEST if source.is_dir() else source)
    if form == "csv":
        if task_type.name == TaskTypeName.DETECTION:
            return csv_boxes.read(source, columns.image, columns.label)
        return csv_reader.read(source, columns.image, columns.label)
    if form == "coco":
        return coco_reader.read(source)
    return label_studio_reader.read(source, columns.control, task_type)


def _classes(rows: Iterator[LabelRow]) -> Iterator[LabelRow]:
    """Yield a row for each class of an image in the place of a row with its boxes."""
    for row in rows:
        if row.drawn is None:
            yield row
        elif not row.drawn.boxes:
            yield replace(row, drawn=None, problem=NO_LABEL)
        else:
            for name, problem in class_names(row.drawn.boxes):
                yield replace(row, drawn=None, label=name, problem="" if name else problem or NO_LABEL)


def images_folder(source: Path, form: str) -> Path:
    """Return the folder that the paths of images in a file or folder of labels begin at."""
    if form == "voc":
        return voc.images_folder(source)
    return source if source.is_dir() else source.parent


def _says_one_class(source: Path, form: str) -> bool:
    if form == "yolo":
        return source.is_dir() and not folder_reader.is_detection(source)
    return form == "folders"


def _listed() -> str:
    return ", ".join(FORMATS)
