"""Writes labels to files, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.adapters.files import new_file
from octospoon.adapters.label_files.boxes.coco_boxes import SizedImage
from octospoon.adapters.label_files.boxes.yolo_folders import YoloFolders
from octospoon.adapters.label_files.drawn import ImageSize
from octospoon.adapters.label_files.folders import ClassFolders
from octospoon.adapters.label_files.spool import spooled
from octospoon.adapters.label_files.writers import (
    FORMATS,
    coco_with_boxes,
    label_studio,
    writer,
)
from octospoon.adapters.label_studio.controls import control_of
from octospoon.cli.extras import require
from octospoon.cli.operations.export_folder import CHANGED, ExportFolder, check_folder
from octospoon.cli.operations.upload import run_each
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
        check_folder(to)
        with spooled(LabelledImage, rows) as images:
            drawn = deployment.task_type.name == TaskTypeName.DETECTION
            layout = YoloFolders(history.names, images) if drawn else ClassFolders(split=form == YOLO)
            return Exported(str(to), form, *ExportFolder(deployment.images, to, layout).write(images))
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
        for image, size_or_problem in run_each(sized, images, "Reading sizes", len(images)):
            if isinstance(size_or_problem, SizedImage):
                yield image.key, size_or_problem
            else:
                left_out[size_or_problem] = left_out.get(size_or_problem, 0) + 1

    with spooled(SizedImage, readable()) as known:
        bucket = deployment.outputs["ImagesBucket"]
        coco_with_boxes(draft, known, bucket, deployment.task_type.labels)
        return Exported(str(to), "coco", len(known), left_out)


def _check_folders(form: str, task_type: TaskType) -> None:
    """Refuse a folder for each class where an image has no one class; raises BadRequest."""
    drawn = task_type.name == TaskTypeName.DETECTION
    if task_type.name == TaskTypeName.CLASSIFICATION or (drawn and form == YOLO):
        return
    problem, others = ("has boxes instead", (*FORMATS, YOLO)) if drawn else ("may have several", FORMATS)
    raise BadRequest(
        f"the format {form} puts an image into the folder of its one class, and {task_type.name} {problem}: "
        f"choose one of {', '.join(others)}"
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
