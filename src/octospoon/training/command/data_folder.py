"""Write labelled images as a data set that other programs read: a folder for each class."""

from __future__ import annotations

import json
import logging
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.imaging.portable import portable
from octospoon.domain.errors import BadImage, TrainerFailed
from octospoon.domain.pool.keys import image_id
from octospoon.training.data.dataset import read_labelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.ports.images import ImageStore

FORMAT = "octospoon/data/1"
"""The name of the layout. A change that programs can notice gets another number."""
TRAIN, VALIDATION = "train", "val"
_READERS = 4
_LEAST_FREE = 2**30
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH = 40
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """The file of an image; sizes are in pixels."""

    path: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder with a data set.

    Attributes:
        path: an empty folder.
        classes: the class names, in the order that the model must have.
        class_weights: ``none`` or ``balanced``, for the program.
    """

    path: Path
    classes: tuple[str, ...]
    class_weights: str = "none"

    def folders(self) -> tuple[str, ...]:
        """Return the name of each class's folder.

        The number comes first, so that the alphabetical order, which other programs use, is the order of the
        classes. The rest is for people.
        """
        width = max(3, len(str(len(self.classes) - 1)))
        return tuple(f"{i:0{width}d}-{_safe(name, 'class')}" for i, name in enumerate(self.classes))

    def write(
        self,
        images: Sequence[LabelledImage],
        labels: npt.NDArray[np.int64],
        validation: npt.NDArray[np.bool_],
        store: ImageStore,
    ) -> npt.NDArray[np.bool_]:
        """Write every image that can be read, and the files that describe them.

        Args:
            images: N labelled images.
            labels: int64 [N], positions in `classes`.
            validation: bool [N].
            store: the store of the images.

        Returns:
            bool [N], True for the images that were written.

        Raises:
            TrainerFailed: the disk is nearly full.
        """
        folders = self.folders()
        for part in (TRAIN, VALIDATION):
            for name in folders:
                (self.path / part / name).mkdir(parents=True)
        places = [
            f"{VALIDATION if held else TRAIN}/{folders[label]}"
            for held, label in zip(validation.tolist(), labels.tolist(), strict=True)
        ]
        with ThreadPoolExecutor(_READERS) as threads:
            written = list(threads.map(self._copied, images, places, [store] * len(images)))
        self._describe(images, written)
        return np.array([file is not None for file in written], bool)

    def _copied(self, image: LabelledImage, place: str, store: ImageStore) -> Written | None:
        """Write an image into a folder; return None if it cannot be read."""
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
        stem = _safe(PurePosixPath(image.key).stem, "image")
        name = f"{place}/{image_id(image.key, image.etag)}-{stem}{file.extension}"
        (self.path / name).write_bytes(file.data)
        return Written(name, file.width, file.height)

    def _describe(self, images: Sequence[LabelledImage], written: Sequence[Written | None]) -> None:
        """Write the names of the classes, the description of the data set, and a line for each image."""
        lines = [
            {
                "file": file.path,
                "split": file.path.partition("/")[0],
                "label": image.label,
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
            "task": "classification",
            "classes": list(self.classes),
            "folders": list(self.folders()),
            "class_weights": self.class_weights,
        }
        self._text("classes.txt", "".join(f"{name}\n" for name in self.classes))
        self._text("data.json", json.dumps(described, ensure_ascii=False, indent=1))
        self._text("images.jsonl", "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))

    def _text(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, "utf-8")


def _safe(name: str, default: str) -> str:
    """Return the part of a name that every file system and program takes."""
    return _UNSAFE.sub("_", name).strip("_-")[:_NAME_LENGTH] or default
