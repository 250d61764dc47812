"""Writes labels and predictions to files, whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from octospoon.adapters.files import check_new, draft_of, new_file
from octospoon.adapters.label_files import folders
from octospoon.adapters.label_files.spool import spooled
from octospoon.adapters.label_files.tables import write_csv, write_parquet
from octospoon.adapters.label_files.writers import FORMATS, described, label_studio, writer
from octospoon.adapters.label_studio.controls import control_of
from octospoon.cli.extras import require
from octospoon.cli.operations.upload import each
from octospoon.domain.errors import BadImage, BadRequest
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.labelled import labelled_now
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.domain.task_types.task_type import Predicted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from octospoon.adapters.label_files.spool import Spool
    from octospoon.adapters.label_studio.other_project import OtherProject
    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.pool.images import StoredPrediction
    from octospoon.domain.task_types.task_type import TaskType

FOLDERS, YOLO = "folders", "yolo"
LABEL_FORMATS = (*FORMATS, FOLDERS, YOLO)
_SUFFIXES = {".csv": "csv", ".jsonl": "manifest", ".ndjson": "manifest", "": FOLDERS}
_PREDICTED: Mapping[str, type] = {
    "key": str,
    "prediction": str,
    "confidence": float,
    "model_version": int,
    "state": str,
    "label": str,
    "scored_at": str,
    "etag": str,
}
"""The columns of exported predictions, in order."""


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
    with new_file(to) as draft, spooled(LabelledImage, rows) as images:
        write = writer(form, control_of(deployment.task_type), meaning)
        write(draft, images, deployment.outputs["ImagesBucket"])
        return Exported(str(to), form, len(images), {})


def _check_folders(form: str, task_type: TaskType) -> None:
    """Refuse folders for labels of several classes; raises BadRequest."""
    if task_type.name != TaskTypeName.CLASSIFICATION:
        raise BadRequest(
            f"the format {form} puts an image into the folder of its one class, and {task_type.name} has "
            f"several: choose one of {', '.join(FORMATS)}"
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
        BadRequest: the file cannot be read, or has no choices for an image.
    """
    require("labels", f"{command} --label-config")
    from octospoon.adapters.label_studio.other_project import OtherProject

    try:
        text = label_config.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{label_config} cannot be read: {error}") from error
    return OtherProject(text, control, several=task_type.name == TaskTypeName.MULTILABEL)


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
            return "changed since it was labelled"
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(file, forced=False) as draft:  # its etag is checked when the export is repeated
            draft.write_bytes(stored.data)
        return ""


def predictions(deployment: Deployment, to: Path) -> Exported:
    """Write the stored prediction of every image of the pool.

    Args:
        deployment: the deployment.
        to: the file; its name ends with ``.csv`` or ``.parquet``.

    Raises:
        BadRequest: the name ends otherwise, or the file exists.
        NotConfigured: Parquet needs a package that is not installed.
    """
    writers = {".csv": write_csv, ".parquet": write_parquet}
    writer = writers.get(to.suffix.lower())
    if writer is None:
        raise BadRequest(f"the name of {to} must end with .csv or .parquet")
    if writer is write_parquet:
        require("parquet", "octospoon predictions export FILE.parquet")
    left_out: dict[str, int] = {}
    with new_file(to) as draft:
        rows = writer(draft, _PREDICTED, _predicted(deployment, left_out))
    return Exported(str(to), to.suffix.lower()[1:], rows, left_out)


def _predicted(deployment: Deployment, left_out: dict[str, int]) -> Iterator[dict[str, Any]]:
    history, task_type = deployment.class_record().read(), deployment.task_type
    several = task_type.name == TaskTypeName.MULTILABEL

    @cache
    def classes(version: int) -> tuple[str, ...]:
        pointer = deployment.champions.version(version)
        return () if pointer is None else tuple(pointer.classes)

    for image in deployment.pool_report.predictions(probabilities=several):
        names = () if image.top_class is None else classes(image.model_version)
        if image.top_class is None or image.top_class >= len(names):
            reason = "scored before there was a trained model"
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        predicted = _meant(image, names, task_type, history)
        if predicted is None:
            reason = "predicted as a class that is retired"
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        label = None if image.label is None else task_type.labels.current(image.label, history)
        yield _prediction(replace(image, label=label), predicted)


def _meant(
    image: StoredPrediction, names: Sequence[str], task_type: TaskType, history: ClassHistory
) -> Predicted | None:
    """Return what a stored prediction means now; None if nothing of it counts any longer."""
    if image.probabilities is None:
        name = history.current(names[image.top_class or 0])
        return None if name is None else Predicted(name, image.confidence)
    translated = task_type.translation(history, names)
    if not translated.names or len(image.probabilities) != len(names):
        return None
    (predicted,) = task_type.predicted(translated(image.probabilities[np.newaxis]), translated.names)
    return predicted


def _prediction(image: StoredPrediction, predicted: Predicted) -> dict[str, Any]:
    return {
        "key": image.key,
        "prediction": predicted.label,
        "confidence": predicted.confidence,
        "model_version": image.model_version,
        "state": str(image.state),
        "label": image.label,
        "scored_at": datetime.fromtimestamp(image.scored_at, UTC).isoformat(timespec="seconds"),
        "etag": image.etag,
    }
