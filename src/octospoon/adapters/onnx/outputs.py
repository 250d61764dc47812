"""Check a model's output: shape, type, finite values, probabilities that are some, and boxes in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import BOXES, PROBABILITIES, SCORES, SIGMOID, SOFTMAX

if TYPE_CHECKING:
    import numpy.typing as npt

_SUM_TOLERANCE = 1e-3


def check_probabilities(
    array: npt.NDArray[Any], rows: int, classes: int, activation: str = SOFTMAX
) -> npt.NDArray[np.float32]:
    """Return the array if it is float32 [rows, classes] with the probabilities of an activation.

    Raises:
        BadModel: it is not; each row of a softmax sums to one.
    """
    probabilities = checked(array, (rows, classes), PROBABILITIES)
    if activation == SIGMOID:
        if rows and (probabilities.min() < 0 or probabilities.max() > 1):
            raise BadModel("the model's probabilities are not between 0 and 1")
        return probabilities
    if rows and (probabilities.min() < 0 or np.abs(probabilities.sum(axis=1) - 1).max() > _SUM_TOLERANCE):
        raise BadModel("the model's probabilities are negative or do not sum to one")
    return probabilities


def check_boxes(
    boxes: npt.NDArray[Any], scores: npt.NDArray[Any], shape: tuple[int, int, int]
) -> npt.NDArray[np.float32]:
    """Return boxes and scores side by side, float32 [N, K, 4 + C].

    Args:
        boxes: the model's BOXES.
        scores: the model's SCORES.
        shape: N, K and C.

    Raises:
        BadModel: a shape, type or number is wrong, or the boxes are not in the order that the contract names.
    """
    rows, most, classes = shape
    boxes, scores = checked(boxes, (rows, most, 4), BOXES), checked(scores, (rows, most, classes), SCORES)
    if ((boxes < 0) | (boxes > 1)).any() or ((scores < 0) | (scores > 1)).any():
        raise BadModel("the model's boxes or scores are not between 0 and 1")
    best = scores.max(axis=2)
    used = best > 0
    if not (boxes[used][:, :2] < boxes[used][:, 2:]).all():
        raise BadModel("the model gives a box without area, or one with reversed corners")
    if boxes[~used].any() or (best[:, 1:] > best[:, :-1]).any():
        raise BadModel(
            "the model's boxes are not ordered by their highest score, or unused rows are not zero"
        )
    return np.concatenate([boxes, scores], axis=2)


def checked(array: npt.NDArray[Any], shape: tuple[int, ...], name: str) -> npt.NDArray[np.float32]:
    """Return a model's output if it is finite float32 of this shape; raises BadModel."""
    if array.shape != shape:
        raise BadModel(f"the model's {name} has shape {array.shape}, not {shape}")
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise BadModel(f"the model's {name} is not finite float32")
    return array
