"""Write COCO JSON with boxes, each row as it is read, and the parts of it that other data sets share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octospoon.domain.labelling.tasks import LabelledImage  # noqa: TC001 - read when rows are decoded
from octospoon.domain.task_types.detection.label import Boxes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from octospoon.domain.task_types.detection.label import Box


@dataclass(frozen=True, slots=True)
class SizedImage:
    """A labelled image, with its width and height in pixels as it is displayed."""

    image: LabelledImage
    width: int
    height: int


def coco_box(box: Box, width: int, height: int) -> dict[str, Any]:
    """Return the place of a box as an annotation of COCO has it.

    Args:
        box: in shares of the image.
        width: of the displayed image in pixels.
        height: likewise.
    """
    x, y = box.x1 * width, box.y1 * height
    w, h = (box.x2 - box.x1) * width, (box.y2 - box.y1) * height
    return {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}


def annotated(images: Iterable[SizedImage], classes: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield an annotation for each box of images that are numbered from 1, without its own number.

    Args:
        images: with their labels.
        classes: the number of each class.
    """
    for number, sized in enumerate(images, 1):
        for box in Boxes().read(sized.image.label):
            place = coco_box(box, sized.width, sized.height)
            yield {"image_id": number, "category_id": classes[box.name]} | place
