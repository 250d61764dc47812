"""The image sets with boxes of the benchmark: digit mosaics, which are generated, and BCCD's blood cells.

BCCD (MIT): 364 photos of 640×480 pixels with Pascal VOC boxes of three classes. It is read from a folder
beside the checkout, and skipped with a line where that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench.image_sets import SHARED, Missing

from octospoon.adapters.imaging.decode import decode
from octospoon.adapters.label_files import readers
from octospoon.cli.datasets import mosaics
from octospoon.cli.datasets.row_boxes import boxes_of
from octospoon.domain.task_types.detection import DETECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.task_types.detection.label import Box

MOSAICS, MOSAICS_TESTED = 600, 200
BCCD_CLASSES = ("RBC", "WBC", "Platelets")
_BCCD_SIZE = (192, 256)
"""Height and width in pixels to which the photos are reduced, so that a CPU trains in seconds."""


@dataclass(frozen=True, slots=True)
class BoxSet:
    """Images with boxes.

    Attributes:
        name: in tables.
        classes: C class names.
        flip: whether mirrored images are images of the same kind.
        pixels: uint8 [N, H, W, 3], the images that can be labelled.
        targets: for each of them float64 [M, 5]: x1, y1, x2, y2 as shares of the sides, and the class.
        tested: uint8 [T, H, W, 3], other images.
        truth: for each of them, as `targets`.
    """

    name: str
    classes: tuple[str, ...]
    flip: bool
    pixels: npt.NDArray[np.uint8]
    targets: list[npt.NDArray[np.float64]]
    tested: npt.NDArray[np.uint8]
    truth: list[npt.NDArray[np.float64]]


def of_mosaics() -> BoxSet:
    """Return digit mosaics; those that are tested show other handwriting."""
    parts = []
    for count, held_out in ((MOSAICS, False), (MOSAICS_TESTED, True)):
        made = [mosaics.mosaic(index, held_out=held_out) for index in range(count)]
        targets = [np.column_stack([each.boxes, each.classes]) for each in made]
        parts.append((np.stack([each.pixels for each in made]), targets))
    return BoxSet("mosaics", mosaics.CLASSES, False, *parts[0], *parts[1])


def of_bccd() -> BoxSet:
    """Return BCCD: its lists train and val can be labelled, its list test is tested.

    Raises:
        Missing: the folder is not there.
    """
    parts = []
    for part in ("trainval", "test"):
        pixels, targets = [], []
        for photo, boxes in bccd_boxes(part):
            pixels.append(decode(photo.read_bytes(), *_BCCD_SIZE, "squash"))
            targets.append(boxes)
        parts.append((np.stack(pixels), targets))
    return BoxSet("bccd", BCCD_CLASSES, True, *parts[0], *parts[1])


def bccd_boxes(part: str) -> list[tuple[Path, npt.NDArray[np.float64]]]:
    """Return the photos of one of BCCD's lists, with their boxes float64 [M, 5]; see `BoxSet.targets`.

    Raises:
        Missing: the folder is not there.
    """
    folder = SHARED / "bccd"
    if not folder.is_dir():
        raise Missing(f"there is no folder {folder}")
    listed = set((folder / "ImageSets/Main" / f"{part}.txt").read_text().split())
    rows = readers.read(folder, "voc", readers.Columns(), DETECTION)
    chosen = [row for row in rows if Path(row.image).stem in listed]
    photos = [folder / "JPEGImages" / row.image for row in chosen]
    return [
        (photo, _targets(boxes_of(row, str(photo)).boxes)) for row, photo in zip(chosen, photos, strict=True)
    ]


def _targets(boxes: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Return boxes as float64 [M, 5]."""
    rows = [[*place, float(BCCD_CLASSES.index(name))] for name, *place in boxes]
    return np.array(rows, np.float64).reshape(-1, 5)


SETS = {"mosaics": of_mosaics, "bccd": of_bccd}
