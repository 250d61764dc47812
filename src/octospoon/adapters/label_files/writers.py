"""Write labels in the formats of other programs, each row as it is read, so that memory stays bounded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from octospoon.adapters.label_files.boxes.coco_boxes import annotated
from octospoon.adapters.label_files.tables import write_csv
from octospoon.adapters.label_studio.interface import TO_NAME
from octospoon.domain.batch.selection import selection, source
from octospoon.domain.labelling.addresses import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from octospoon.adapters.label_files.boxes.coco_boxes import SizedImage
    from octospoon.adapters.label_studio.control import Control
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.task_types.task_type import StoredLabels

COLUMNS: Mapping[str, type] = {
    "key": str,
    "label": str,
    "source": str,
    "selection": str,
    "strategy": str,
    "round": int,
    "draw_probability": float,
    "annotators": int,
    "agreement": float,
    "uploaded": str,
    "etag": str,
}
"""What every format says of a label: the columns of CSV, in order, with their types."""


def described(image: LabelledImage) -> dict[str, Any]:
    """Return the row of a label in an export: a value for each of `COLUMNS`."""
    return {
        "key": image.key,
        "label": image.label,
        "source": source(image),
        "selection": selection(image),
        "strategy": image.strategy,
        "round": image.round_number or None,
        "draw_probability": image.draw_probability,
        "annotators": image.annotators,
        "agreement": image.agreement,
        "uploaded": image.arrived,
        "etag": image.etag,
    }


def csv_file(path: Path, images: Iterable[LabelledImage], bucket: str) -> None:
    """Write CSV with a line of column names."""
    del bucket
    write_csv(path, COLUMNS, (described(image) for image in images))


def manifest(path: Path, images: Iterable[LabelledImage], bucket: str) -> None:
    """Write octospoon's own manifest: JSON Lines, one object for each image."""
    del bucket
    with path.open("wb") as file:
        for image in images:
            file.write(msgspec.json.encode(described(image)) + b"\n")


def coco(path: Path, images: Iterable[LabelledImage], bucket: str, labels: StoredLabels) -> None:
    """Write COCO JSON: each image has an annotation with the category of each of its classes, and no box.

    Args:
        path: of the file.
        images: the labels; they are read three times.
        bucket: the images bucket, for addresses.
        labels: their meaning.
    """
    classes = _numbered(images, labels)
    rows = (_coco_image(i, image, bucket) for i, image in enumerate(images, 1))
    _write_coco(path, classes, rows, _coco_annotations(images, classes, labels))


def coco_with_boxes(path: Path, images: Iterable[SizedImage], bucket: str, labels: StoredLabels) -> None:
    """Write COCO JSON with boxes in pixels; see `coco` for the arguments.

    An image without objects is there without an annotation. What is known of a label stands with its image.
    """
    classes = _numbered((sized.image for sized in images), labels)
    rows = (
        _coco_image(i, sized.image, bucket)
        | {"width": sized.width, "height": sized.height, "attributes": _attributes(sized.image)}
        for i, sized in enumerate(images, 1)
    )
    _write_coco(path, classes, rows, annotated(images, classes))


def _numbered(images: Iterable[LabelledImage], labels: StoredLabels) -> dict[str, int]:
    named = {name for image in images for name in labels.classes(image.label)}
    return {name: i for i, name in enumerate(sorted(named), 1)}


def _write_coco(
    path: Path,
    classes: Mapping[str, int],
    images: Iterator[dict[str, Any]],
    annotations: Iterator[dict[str, Any]],
) -> None:
    with path.open("wb") as file:
        file.write(b'{"info":{"description":"labels of octospoon"},"licenses":[],"categories":')
        file.write(msgspec.json.encode([{"id": i, "name": name} for name, i in classes.items()]))
        file.write(b',\n"images":[\n')
        _write_list(file, images)
        file.write(b'],\n"annotations":[\n')
        _write_list(file, ({"id": number} | annotation for number, annotation in enumerate(annotations, 1)))
        file.write(b"]}\n")


def _coco_image(number: int, image: LabelledImage, bucket: str) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": image.key,
        "coco_url": address_of(bucket, image.key),
        "date_captured": image.arrived,
    }


def _attributes(image: LabelledImage) -> dict[str, Any]:
    return {name: value for name, value in described(image).items() if name not in ("key", "label")}


def _coco_annotations(
    images: Iterable[LabelledImage], classes: Mapping[str, int], labels: StoredLabels
) -> Iterator[dict[str, Any]]:
    for number, image in enumerate(images, 1):
        known = _attributes(image)
        for name in labels.classes(image.label):
            yield {"image_id": number, "category_id": classes[name], "iscrowd": 0, "attributes": known}


class Interface(Protocol):
    """The labelling interface that tasks are written for."""

    image: str
    """Name of the image in the data of a task."""

    def result(self, label: str) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with a label; None if the interface does not offer it."""


class OwnInterface:
    """The labelling interface of octospoon's own project."""

    image = TO_NAME

    def __init__(self, control: Control) -> None:
        self._control = control

    def result(self, label: str) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with a label."""
        return self._control.result(label)


def label_studio(path: Path, images: Iterable[LabelledImage], bucket: str, interface: Interface) -> None:
    """Write tasks with annotations, as Label Studio exports and imports them.

    Args:
        path: of the file.
        images: the labels, of classes that the interface offers.
        bucket: the images bucket, for addresses.
        interface: of the project that takes them.
    """
    with path.open("wb") as file:
        file.write(b"[\n")
        _write_list(file, (_task(image, bucket, interface) for image in images))
        file.write(b"]\n")


def _task(image: LabelledImage, bucket: str, interface: Interface) -> dict[str, Any]:
    result = interface.result(image.label)
    return {
        "data": {interface.image: address_of(bucket, image.key), "key": image.key, "etag": image.etag},
        "annotations": [{"result": result, "was_cancelled": False, "ground_truth": False}],
        "meta": described(image),
    }


def _write_list(file: BinaryIO, values: Iterator[dict[str, Any]]) -> None:
    separator = b""
    for value in values:
        file.write(separator + msgspec.json.encode(value))
        separator = b",\n"
    file.write(b"\n")


FORMATS = ("csv", "manifest", "coco", "label-studio")
"""The formats that are one file."""


def writer(
    form: str, control: Control, labels: StoredLabels
) -> Callable[[Path, Iterable[LabelledImage], str], None]:
    """Return the function that writes one of `FORMATS`.

    Args:
        form: the format.
        control: of octospoon's own project, whose tasks Label Studio imports.
        labels: the meaning of the labels.
    """
    if form == "coco":
        return partial(coco, labels=labels)
    if form == "label-studio":
        return partial(label_studio, interface=OwnInterface(control))
    return csv_file if form == "csv" else manifest
