"""Write labelled images as a data set that other programs read."""

from __future__ import annotations

import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.imaging.portable import portable
from octospoon.domain.errors import BadImage, NotConfigured, TrainerFailed
from octospoon.domain.pool.keys import image_id
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.training.command.box_files import BoxFiles
from octospoon.training.command.layouts import (
    TRAIN,
    VALIDATION,
    ClassColumns,
    ClassFolders,
    ImageFile,
    Layout,
    safe,
)
from octospoon.training.data.dataset import read_labelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.task_types.task_type import StoredLabels
    from octospoon.ports.images import ImageStore

FORMAT = "octospoon/data/1"
"""The name of the format. A change that programs can notice gets another number."""
_READERS = 4
_LEAST_FREE = 2**30
_log = logging.getLogger(__name__)

_LAYOUTS: Mapping[str, Callable[[tuple[str, ...], StoredLabels], Layout]] = {
    TaskTypeName.CLASSIFICATION: ClassFolders,
    TaskTypeName.MULTILABEL: ClassColumns,
    TaskTypeName.DETECTION: lambda classes, _: BoxFiles(classes),
}


def layout_of(task: str, classes: tuple[str, ...], labels: StoredLabels) -> Layout:
    """Return the layout for a kind of label.

    Args:
        task: the name of the task type.
        classes: the class names, in the order that the model must have.
        labels: the meaning of stored labels.

    Raises:
        NotConfigured: programs cannot train on this kind of label.
    """
    if task not in _LAYOUTS:
        raise NotConfigured(f"Trainer=command cannot train TaskType={task}: set another Trainer")
    return _LAYOUTS[task](classes, labels)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder with a data set.

    Attributes:
        path: an empty folder.
        task: the name of the task type.
        classes: the class names, in the order that the model must have.
        layout: of the data set.
        class_weights: ``none`` or ``balanced``, for the program.
    """

    path: Path
    task: str
    classes: tuple[str, ...]
    layout: Layout
    class_weights: str = "none"

    def write(
        self, images: Sequence[LabelledImage], validation: npt.NDArray[np.bool_], store: ImageStore
    ) -> npt.NDArray[np.bool_]:
        """Write every image that can be read, and the files that describe them.

        Args:
            images: N labelled images.
            validation: bool [N].
            store: the store of the images.

        Returns:
            bool [N], True for the images that were written.

        Raises:
            TrainerFailed: the disk is nearly full.
        """
        for name in self.layout.made():
            (self.path / name).mkdir(parents=True)
        parts = [VALIDATION if held else TRAIN for held in validation.tolist()]
        with ThreadPoolExecutor(_READERS) as threads:
            written = list(threads.map(self._copied, images, parts, [store] * len(images)))
        self._describe(images, written)
        return np.array([file is not None for file in written], bool)

    def _copied(self, image: LabelledImage, part: str, store: ImageStore) -> ImageFile | None:
        """Write an image into its folder; return None if it cannot be read."""
        if (free := shutil.disk_usage(self.path).free) < _LEAST_FREE:
            raise TrainerFailed(
                f"the disk has only {free:,} bytes left while the labelled images are written: give the "
                "trainer a larger disk"
            )
        try:
            file = portable(read_labelled(store, image))
        except BadImage as error:
            _log.warning("%s is left out of training: %s", image.key, error)
            return None
        stem = safe(PurePosixPath(image.key).stem, "image")
        place = self.layout.place(part, image.label)
        name = f"{place}/{image_id(image.key, image.etag)}-{stem}{file.extension}"
        (self.path / name).write_bytes(file.data)
        return ImageFile(name, part, image.label, file.width, file.height)

    def _describe(self, images: Sequence[LabelledImage], written: Sequence[ImageFile | None]) -> None:
        """Write the names of the classes, the description of the data set, and a line for each image."""
        lines = [
            {
                "file": file.path,
                "split": file.part,
                "label": self.layout.value(file.label),
                "width": file.width,
                "height": file.height,
                "key": image.key,
                "etag": image.etag,
            }
            for image, file in zip(images, written, strict=True)
            if file is not None
        ]
        described = {
            "format": FORMAT,
            "task": self.task,
            "classes": list(self.classes),
            "folders": list(self.layout.folders()),
            "class_weights": self.class_weights,
        }
        self._text("classes.txt", "".join(f"{name}\n" for name in self.classes))
        self._text("data.json", json.dumps(described, ensure_ascii=False, indent=1))
        self._text("images.jsonl", "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))
        self.layout.describe(self.path, [file for file in written if file is not None])

    def _text(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, "utf-8")
