"""The predicted boxes of images: float32 [K, 4 + C] for each.

The columns are x1, y1, x2, y2 as shares of the upload, then the score of each class. Unused rows are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool.framing import in_upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.pool.framing import Region
    from octospoon.domain.pool.images import Prediction

CORNERS = 4
"""Columns before the scores."""


def placed(predicted: npt.NDArray[np.float32], region: Region) -> npt.NDArray[np.float32]:
    """Return a model's boxes as shares of the upload; boxes outside of it become unused rows at the end.

    Args:
        predicted: float32 [K, 4 + C] with boxes as shares of the model's input.
        region: the part of the upload that the input shows.
    """
    boxes = in_upload(predicted[:, :CORNERS], region)
    inside = (boxes[:, :2] < boxes[:, 2:CORNERS]).all(axis=1)
    result = np.zeros_like(predicted)
    result[: inside.sum()] = np.concatenate([boxes, predicted[:, CORNERS:]], axis=1)[inside]
    return result


def classes_of(predicted: npt.NDArray[np.floating]) -> int:
    """Return the number of classes in a prediction of one image: probabilities [C] or boxes [K, 4 + C]."""
    columns: int = predicted.shape[-1]
    return columns - (CORNERS if predicted.ndim > 1 else 0)


def of_classes(predicted: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return how likely one image shows each class, float [C], for probabilities [C] or boxes [K, 4 + C].

    Of boxes, it is the largest score of the class; 0 without boxes.
    """
    return predicted if predicted.ndim == 1 else predicted[:, CORNERS:].max(axis=0, initial=0.0)


def precedence(prediction: Prediction) -> int:
    """Return the whole number that the priority of an image begins with; 0 for classes.

    The pool orders images of a later detector before those of an earlier one, because doubts of two detectors
    cannot be compared.
    """
    predicted = prediction.probabilities
    return 0 if predicted is None or predicted.ndim == 1 else prediction.generation


def together(predictions: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Stack predictions of images that know the same classes; boxes get unused rows up to the most.

    Returns:
        float32 [N, C], or float32 [N, K, 4 + C] with at least one row for each image.
    """
    if predictions[0].ndim == 1:
        return np.stack(predictions)
    most = max(1, *(len(boxes) for boxes in predictions))
    stacked = np.zeros((len(predictions), most, predictions[0].shape[1]), np.float32)
    for row, boxes in zip(stacked, predictions, strict=True):
        row[: len(boxes)] = boxes
    return stacked
