"""Writes labels to files, whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.files import check_new, draft_of, new_file
from octospoon.adapters.label_files import folders
from octospoon.adapters.label_files.boxes.coco_boxes import SizedImage
from octospoon.adapters.label_files.drawn import ImageSize
from octospoon.adapters.label_files.spool import spooled
from octospoon.adapters.label_files.writers import (
    FORMATS,
    coco_with_boxes,
    described,
    label_studio,
    writer,
)
from octospoon.adapters.label_studio.controls import control_of
from octospoon.cli.extras import require
from octospoon.cli.operations.upload import each
from octospoon.domain.errors import BadImage, BadRequest
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.labelled import labelled_now
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from octospoon.adapters.label_files.spool import Spool
    from octospoon.adapters.label_studio.other_project import OtherProject
    from octospoon.cli.deployment import Deployment
    from octospoon.domain.task_types.task_type import TaskType

FOLDERS, YOLO = "folders", "yolo"
CHANGED = "changed since it was labelled"
LABEL_FORMATS = (*FORMATS, FOLDERS, YOLO)
_SUFFIXES = {".csv": "csv", ".jsonl": "manifest", ".ndjson": "manifest", "": FOLDERS}


@dataclass(frozen=True, slots=True)
class Exported:
    """The outcome of an export.

    Attributes:
        file: the file or folder.
        format: its format.
        rows: labels or predictions in it.
        left_out: images that are not in it, by reason.
    """

    file: str
    format: str
    rows: int
    left_out: Mapping[str, int]


def labels(deployment: Deployment, to: Path, form: str = "", label_config: Path | None = None) -> Exported:
    """Write every label of a deployment.

    Args:
        deployment: the deployment.
        to: a file, or a folder for the formats that hold images.
        form: one of `LABEL_FORMATS`; empty for the one that the name of the file says.
        label_config: the labelling interface of the Label Studio project that takes the labels; None for
            octospoon's own.

    Raises:
        BadRequest: the format is unknown or not clear, or something is there already.
    """
    history, meaning = deployment.class_record().read(), deployment.task_type.labels
    current = labelled_now(deployment.pool_report.labelled(), meaning, history)
    if label_config is not None:
        project = other_project(label_config, "octospoon labels export", deployment.task_type)
        return _for_project(deployment, current, to, project)
    form = form or _form_of(to)
    if form not in LABEL_FORMATS:
        raise BadRequest(f"there is no format {form}: choose one of {', '.join(LABEL_FORMATS)}")
    rows = ((image.key, image) for image in current)
    if form in (FOLDERS, YOLO):
        _check_folders(form, deployment.task_type)
        folder = _Folder(deployment, to, split=form == YOLO)
        with spooled(LabelledImage, rows) as images:
            return folder.write(images, form)
    if form == "coco" and deployment.task_type.name == TaskTypeName.DETECTION:
        with new_file(to) as draft, spooled(LabelledImage, rows) as images:
            return _coco_with_boxes(deployment, images, draft, to)
    with new_file(to) as draft, spooled(LabelledImage, rows) as images:
        write = writer(form, control_of(deployment.task_type), meaning)
        write(draft, images, deployment.outputs["ImagesBucket"])
        return Exported(str(to), form, len(images), {})


def _coco_with_boxes(deployment: Deployment, images: Spool[LabelledImage], draft: Path, to: Path) -> Exported:
    """Write boxes in pixels, for which every image is read: its label has shares of it."""
    require("pictures", "octospoon labels export --format coco")
    from octospoon.adapters.imaging.image_file import open_image

    left_out: dict[str, int] = {}

    def sized(image: LabelledImage) -> SizedImage | str:
        try:
            stored = deployment.images.read(image.key)
            if not stored.matches(image.etag):
                return CHANGED
            opened = open_image(stored.data)
        except BadImage as error:
            return error.reason
        return SizedImage(image, *ImageSize(*opened.size, opened.orientation).displayed)

    def readable() -> Iterator[tuple[str, SizedImage]]:
        for image, found in each(sized, images, "Reading sizes", len(images)):
            if isinstance(found, SizedImage):
                yield image.key, found
            else:
                left_out[found] = left_out.get(found, 0) + 1

    with spooled(SizedImage, readable()) as known:
        bucket = deployment.outputs["ImagesBucket"]
        coco_with_boxes(draft, known, bucket, deployment.task_type.labels)
        return Exported(str(to), "coco", len(known), left_out)


def _check_folders(form: str, task_type: TaskType) -> None:
    """Refuse folders for labels of several classes; raises BadRequest."""
    if task_type.name != TaskTypeName.CLASSIFICATION:
        raise BadRequest(
            f"the format {form} puts an image into the folder of its one class, and {task_type.name} may "
            f"have several: choose one of {', '.join(FORMATS)}"
        )


def other_project(label_config: Path, command: str, task_type: TaskType, control: str = "") -> OtherProject:
    """Read the labelling interface of another Label Studio project.

    Args:
        label_config: file with the interface.
        command: that needs it, for messages.
        task_type: the kind of label of the deployment.
        control: name of the control with the classes; empty for the only one.

    Raises:
        NotConfigured: Label Studio's SDK is not installed.
        BadRequest: the file cannot be read, or does not ask for labels of this kind about an image.
    """
    require("labels", f"{command} --label-config")
    from octospoon.adapters.label_studio.other_project import OtherProject

    try:
        text = label_config.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{label_config} cannot be read: {error}") from error
    return OtherProject(text, control, task_type.name)


def _for_project(
    deployment: Deployment, labelled: Iterable[LabelledImage], to: Path, project: OtherProject
) -> Exported:
    left_out: dict[str, int] = {}

    def offered() -> Iterator[tuple[str, LabelledImage]]:
        for image in labelled:
            if project.result(image.label) is None:
                reason = f"the labelling interface does not offer the class {image.label}"
                left_out[reason] = left_out.get(reason, 0) + 1
            else:
                yield image.key, image

    with new_file(to) as draft, spooled(LabelledImage, offered()) as images:
        label_studio(draft, images, deployment.outputs["ImagesBucket"], project)
        return Exported(str(to), "label-studio", len(images), left_out)


def _form_of(to: Path) -> str:
    if to.suffix.lower() == ".json":
        raise BadRequest(f"{to} can be of two formats: add --format coco or --format label-studio")
    form = _SUFFIXES.get(to.suffix.lower())
    if form is None:
        raise BadRequest(f"the name {to} does not say the format: add --format, one of {LABEL_FORMATS}")
    return form


class _Folder:
    """A folder with a folder of images for each class. An interrupted export can be repeated."""

    def __init__(self, deployment: Deployment, to: Path, *, split: bool) -> None:
        check_new(to / folders.MANIFEST) if to.is_dir() else check_new(to)
        self._images, self._to, self._split = deployment.images, to, split

    def write(self, images: Spool[LabelledImage], form: str) -> Exported:
        """Download the images, then write the manifest."""
        left_out: dict[str, int] = {}
        rows = 0
        self._to.mkdir(exist_ok=True)
        with draft_of(self._to / folders.MANIFEST) as draft, draft.open("wb") as manifest:
            for image, problem in each(self._fetch, images, "Downloading", len(images)):
                if problem:
                    left_out[problem] = left_out.get(problem, 0) + 1
                    continue
                row = {"file": folders.place(image, split=self._split)} | described(image)
                manifest.write(msgspec.json.encode(row) + b"\n")
                rows += 1
        return Exported(str(self._to), form, rows, left_out)

    def _fetch(self, image: LabelledImage) -> str:
        """Write one image unless it is there; return why it cannot be had, or an empty text."""
        file = self._to / folders.place(image, split=self._split)
        if file.exists() and hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == image.etag:
            return ""
        try:
            stored = self._images.read(image.key)
        except BadImage as error:
            return error.reason
        if not stored.matches(image.etag):
            return CHANGED
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(file, forced=False) as draft:  # its etag is checked when the export is repeated
            draft.write_bytes(stored.data)
        return ""
