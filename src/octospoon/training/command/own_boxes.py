"""Try the detector of a program on the images for validation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import BadModel
from octospoon.domain.pool.boxes import CORNERS
from octospoon.domain.task_types.detection.predictions import DOUBTFUL
from octospoon.training.data import pictures

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.ports.images import ImageStore
    from octospoon.training.command.own_head import Parts
    from octospoon.training.model.check_import import Imported

_BATCH = 8


class Tried(NamedTuple):
    """The boxes of a detector for images that it was not trained on.

    Attributes:
        rows: int64 [M], the images of the part for validation that can be read.
        predicted: float64 [M, K, 4 + C], as shares of the uploads.
    """

    rows: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.float64]


def tried(imported: Imported, parts: Parts, store: ImageStore) -> Tried:
    """Return what a detector predicts for the part for validation.

    Args:
        imported: the detector, with the classes of the project in their order.
        parts: the images that the program got.
        store: the store of the images.

    Raises:
        BadModel: it fails, finds nothing although there are objects, or no image can be read any more.
    """
    chosen = np.flatnonzero(parts.validation)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(imported.model)
        scorer = OnnxScorer(folder / "model.onnx")
        images = [parts.dataset.images[i] for i in chosen.tolist()]
        pixels, readable, regions = pictures.read(images, store, imported.spec, folder)
        kept = np.flatnonzero(readable)
        made = [
            prediction.probabilities
            for start in range(0, len(kept), _BATCH)
            for prediction in scorer.predict(
                pixels[kept[start : start + _BATCH]], [regions[i] for i in kept[start : start + _BATCH]]
            )
        ]
    boxes = [image_boxes for image_boxes in made if image_boxes is not None]
    if not boxes:
        raise BadModel("the labelled images cannot be read any more")
    predicted, rows = np.stack(boxes).astype(np.float64), chosen[kept]
    objects = int((parts.dataset.labels[rows][..., 4] >= 0).sum())
    if objects and not (predicted[..., CORNERS:] >= DOUBTFUL).any():
        raise BadModel(
            f"it gives no box with a score of {DOUBTFUL} or more for any of the {len(rows)} images of val, "
            f"which have {objects} objects"
        )
    return Tried(rows, predicted)
