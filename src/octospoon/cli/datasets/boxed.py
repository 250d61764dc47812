"""Images with known boxes, whose labels are in files of any format: for simulations."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import track

from octospoon.adapters.imaging.decode import frame
from octospoon.adapters.label_files import folder_reader, readers
from octospoon.adapters.label_files.locate import Locator
from octospoon.adapters.label_files.readers import Columns
from octospoon.cli.datasets.row_boxes import boxes_of
from octospoon.cli.datasets.uploads import Skipped
from octospoon.domain.errors import BadImage, BadRequest
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Boxes

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.pool.framing import Region
    from octospoon.domain.task_types.detection.label import Box

NOT_FOUND = "of images that are not in the folder"
UNREADABLE = "of images that cannot be read"


def has_boxes(folder: Path) -> bool:
    """Return whether a folder itself says which boxes its images have, as YOLO's and Pascal VOC's do."""
    if not folder.is_dir():
        return False
    form = readers.format_of(folder)
    return form == "voc" or (form == "yolo" and folder_reader.is_detection(folder))


@dataclass(frozen=True, slots=True)
class BoxedFiles:
    """Image files with their boxes.

    Attributes:
        title: for tables and plots.
        files: N paths.
        labels: N labels in their stored form.
        classes: the names of the classes, in order.
        notes: what a reader of the results must know.
    """

    title: str
    files: tuple[Path, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def truth(self) -> npt.NDArray[np.float64]:
        """The targets of a detector, float64 [N, M, 5]."""
        targets: npt.NDArray[np.float64] = DETECTION.evaluator.targets(self.labels, self.classes)
        return targets


def read(folder: Path, source: Path | None = None) -> BoxedFiles:
    """Return the images of a folder with their boxes.

    Args:
        folder: of the images.
        source: names them and their boxes, in any form that `octospoon labels import` reads; None for the
            folder itself.

    Raises:
        BadRequest: there is no such folder, or no box at all.
    """
    if not folder.is_dir():
        raise BadRequest(f"there is no folder {folder}")
    given = source or folder
    form = readers.format_of(given)
    locate = Locator("", folder if source else readers.images_folder(folder, form))
    left_out = Skipped()
    boxes: dict[Path, list[Box]] = {}
    for row in readers.read(given, form, Columns(), DETECTION):
        place = None if row.problem else locate(row)
        if place is None or place.file is None:
            left_out.add(row.problem or NOT_FOUND, f"{row.place} ({row.image})")
            continue
        placed = boxes_of(row, place.file)
        for reason, where in placed.left_out:
            left_out.add(reason, where)
        if placed.boxes or not placed.left_out:
            boxes.setdefault(Path(place.file), []).extend(placed.boxes)
    classes = sorted({box.name for drawn in boxes.values() for box in drawn})
    if not classes:
        why = "; ".join(left_out.lines("left out")) or "no rows"
        raise BadRequest(f"{given} has no box of an image in {folder}: {why}")
    paths, form_of = sorted(boxes), Boxes()
    labels = tuple(form_of.write(tuple(boxes[path])) for path in paths)
    return BoxedFiles(folder.name, tuple(paths), labels, tuple(classes), tuple(left_out.lines("left out")))


def pixels(
    images: BoxedFiles, spec: ModelSpec, folder: Path
) -> tuple[BoxedFiles, npt.NDArray[np.uint8], list[Region]]:
    """Decode images into a file on disk, because they may not fit into memory.

    Args:
        images: N images.
        spec: the model's input format.
        folder: where the file of pixels is written.

    Returns:
        The K images that can be read, their pixels uint8 [K, H, W, 3], and what part of an image these show.
    """
    shape = (len(images.files), spec.height, spec.width, 3)
    made: npt.NDArray[np.uint8] = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, shape)

    def load(position: int) -> Region | None:
        try:
            framed = frame(images.files[position].read_bytes(), spec.height, spec.width, spec.resize)
        except (BadImage, OSError):
            return None
        made[position] = framed.pixels
        return framed.region

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        loaded = threads.map(load, range(len(images.files)))
        regions = list(track(loaded, "Reading images", len(images.files), transient=True))
    kept = [i for i, region in enumerate(regions) if region is not None]
    for place, i in enumerate(kept):
        if place != i:
            made[place] = made[i]
    lost = len(regions) - len(kept)
    known = BoxedFiles(
        images.title,
        tuple(images.files[i] for i in kept),
        tuple(images.labels[i] for i in kept),
        images.classes,
        (*images.notes, *([f"left out {lost:,} {UNREADABLE}"] if lost else [])),
    )
    return known, made[: len(kept)], [region for region in regions if region is not None]
