"""Labelled images with boxes as YOLO's folders of images and of text files."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from octospoon.adapters.label_files.boxes.yolo import DESCRIPTION, IMAGES, LABELS, description_of, text_of
from octospoon.adapters.label_files.folders import TRAIN, VALIDATION, hashed, is_path, part_of
from octospoon.domain.task_types.detection.label import Boxes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from octospoon.domain.labelling.tasks import LabelledImage


class YoloFolders:
    """Implements `octospoon.adapters.label_files.folders.Layout` for boxes.

    The audit share is in ``val``, everything else in ``train``. Images and labels stay apart, so a key keeps
    its path except where another program would look for the labels elsewhere.

    Args:
        classes: the project's classes, in order. Other classes of the labels follow, by name.
        images: all labelled images of the set; they are read once.
    """

    def __init__(self, classes: Sequence[str], images: Iterable[LabelledImage]) -> None:
        taken: set[str] = set()
        names: set[str] = set()
        self._renamed: set[str] = set()
        for image in images:
            names.update(box.name for box in Boxes().read(image.label))
            # two images share a file of labels if they differ in their suffixes alone, or in their case
            stem = str(PurePosixPath(self.place(image)).with_suffix("")).casefold()
            if stem in taken:
                self._renamed.add(image.key)
            taken.add(stem)
        self._classes = (*classes, *sorted(names - set(classes)))

    def place(self, image: LabelledImage) -> str:
        """Return the path of an image's file."""
        key = image.key
        path = key if key not in self._renamed and _keeps(key) else hashed(key)
        return f"{IMAGES}/{part_of(image)}/{path}"

    def label_file(self, image: LabelledImage) -> tuple[str, str]:
        """Return path and text of the file with the boxes of an image, empty for no objects."""
        path = PurePosixPath(self.place(image)).with_suffix(".txt")
        return str(LABELS / path.relative_to(IMAGES)), text_of(Boxes().read(image.label), self._classes)

    def description(self) -> tuple[str, str]:
        """Return path and text of ``data.yaml``, with the names of the classes."""
        return DESCRIPTION, description_of(self._classes, (TRAIN, VALIDATION))


def _keeps(key: str) -> bool:
    """Return whether a key can be a path in the set.

    Programs replace the last folder ``images`` of a path, and hidden files are no images to them.
    """
    parts = key.split("/")
    return is_path(key) and IMAGES not in parts[:-1] and not any(part.startswith(".") for part in parts)
