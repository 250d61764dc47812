"""The image sets with boxes of the benchmark: digit mosaics, which are generated, and BCCD's blood cells.

BCCD (MIT): 364 photos of 640×480 pixels with Pascal VOC boxes of three classes. It is read from a folder
beside the checkout, and skipped with a line where that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from bench.image_sets import SHARED, Missing

from octospoon.adapters.imaging.decode import decode
from octospoon.cli.datasets import mosaics

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

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
    names = (folder / "ImageSets/Main" / f"{part}.txt").read_text().split()
    return [
        (folder / "JPEGImages" / f"{name}.jpg", _boxes(folder / "Annotations" / f"{name}.xml"))
        for name in names
    ]


def _boxes(path: Path) -> npt.NDArray[np.float64]:
    """Return the boxes of a file of Pascal VOC, float64 [M, 5]; those without an area are left out."""
    rows, document = [], ElementTree.parse(path).getroot()
    size = [float(document.findtext(f"size/{side}", "nan")) for side in ("width", "height")]
    for item in document.iter("object"):
        corners = [float(item.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
        shares = np.clip(np.array(corners) / np.array(size * 2), 0, 1)
        if (shares[:2] < shares[2:]).all():
            rows.append([*shares, float(BCCD_CLASSES.index(item.findtext("name", "")))])
    return np.array(rows, np.float64).reshape(-1, 5)


SETS = {"mosaics": of_mosaics, "bccd": of_bccd}
