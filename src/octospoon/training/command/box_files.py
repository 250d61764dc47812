"""Lay out images with boxes as COCO's JSON and as YOLO's folders, which most detectors read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from octospoon.adapters.label_files.boxes.coco_boxes import coco_box
from octospoon.adapters.label_files.boxes.yolo import DESCRIPTION, IMAGES, LABELS, description_of, text_of
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.training.command.layouts import PARTS, ImageFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.domain.task_types.detection.label import Box

_COCO = "annotations"


@dataclass(frozen=True, slots=True)
class BoxFiles:
    """Implements `octospoon.training.command.layouts.Layout` for boxes.

    Both forms share the images. COCO's are pixels from the top left corner, YOLO's are shares of the image.

    Attributes:
        classes: the class names, in the order that the model must have.
    """

    classes: tuple[str, ...]

    def folders(self) -> tuple[str, ...]:
        """Return nothing: an image may show objects of several classes."""
        return ()

    def made(self) -> tuple[str, ...]:
        """Return the folders of images and of YOLO's labels, for each part, and of COCO's files."""
        return (*(f"{folder}/{part}" for folder in (IMAGES, LABELS) for part in PARTS), _COCO)

    def place(self, part: str, label: str) -> str:
        """Return the folder of a part's images."""
        del label
        return f"{IMAGES}/{part}"

    def value(self, label: str) -> list[list[object]]:
        """Return the boxes as class, x1, y1, x2 and y2, in shares of the image."""
        return [[*box] for box in Boxes().read(label)]

    def describe(self, folder: Path, files: Sequence[ImageFile]) -> None:
        """Write ``annotations/PART.json`` for COCO, and ``data.yaml`` and ``labels/PART`` for YOLO.

        An image without objects is in both forms: without an annotation, and with an empty file.
        """
        for part in PARTS:
            chosen = [file for file in files if file.part == part]
            text = json.dumps(self._coco(chosen), ensure_ascii=False)
            (folder / _COCO / f"{part}.json").write_text(text, "utf-8")
            for file in chosen:
                name = PurePosixPath(file.path).with_suffix(".txt").name
                (folder / LABELS / part / name).write_text(text_of(self._boxes(file), self.classes), "utf-8")
        (folder / DESCRIPTION).write_text(description_of(self.classes, PARTS, str(folder)), "utf-8")

    def _coco(self, files: Sequence[ImageFile]) -> dict[str, object]:
        """Return COCO's data set of a part; numbers begin with 1, because 0 often means the background."""
        annotations = [
            {
                "image_id": number,
                "category_id": self.classes.index(box.name) + 1,
                **coco_box(box, file.width, file.height),
            }
            for number, file in enumerate(files, 1)
            for box in self._boxes(file)
        ]
        images = [
            {
                "id": number,
                "file_name": PurePosixPath(file.path).name,
                "width": file.width,
                "height": file.height,
            }
            for number, file in enumerate(files, 1)
        ]
        return {
            "images": images,
            "annotations": [{"id": number} | row for number, row in enumerate(annotations, 1)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(self.classes, 1)],
        }

    @staticmethod
    def _boxes(file: ImageFile) -> tuple[Box, ...]:
        return Boxes().read(file.label)
