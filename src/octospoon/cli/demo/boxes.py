"""The demo's task with boxes: where the digits of a mosaic are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.demo.mosaic_images import MosaicImages
from octospoon.cli.demo.task import Careless
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from octospoon.cli.datasets.mosaics import Mosaic
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.training.simulation import Plan

_FORM = Boxes()


def loose(label: str) -> str:
    """Return a label whose boxes have twice the width and height, less what lies beyond the image.

    No such box overlaps the true one by one half, so a detector that learns them finds nothing.
    """
    return _FORM.write(tuple(map(_doubled, _FORM.read(label))))


class BoxesOfMosaics(MosaicImages):
    """Implements `DemoTask` for boxes: where an image shows which digit."""

    task_type: TaskType = DETECTION
    title, metric = "boxes of digits", "AP50"
    batch, draws, photos = 60, 2, True
    parameters: Mapping[str, str] = {"Trainer": "finetune"}
    careless: Careless | None = Careless("draws boxes of twice the size", loose)

    def __init__(self, images: int = 360) -> None:
        super().__init__(images)

    def label_of(self, mosaic: Mosaic) -> str:
        """Return the boxes of a mosaic."""
        return _FORM.write(tuple(Box(*named) for named in mosaic.named_boxes))

    def random_metrics(self, model: bytes, plan: Plan) -> Iterator[float]:
        """Train detectors on random mosaics; needs PyTorch."""
        from octospoon.cli.demo.random_detectors import metrics

        return metrics(self, model, plan)


def _doubled(box: Box) -> Box:
    width, height = (box.x2 - box.x1) / 2, (box.y2 - box.y1) / 2
    corners = (box.x1 - width, box.y1 - height, box.x2 + width, box.y2 + height)
    return Box(box.name, *(min(max(corner, 0.0), 1.0) for corner in corners))
