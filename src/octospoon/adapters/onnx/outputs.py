"""Check a model's output: shape, type, finite values, and probabilities that are some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import PROBABILITIES, SIGMOID, SOFTMAX

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


def checked(array: npt.NDArray[Any], shape: tuple[int, int], name: str) -> npt.NDArray[np.float32]:
    """Return a model's output if it is finite float32 of this shape; raises BadModel."""
    if array.shape != shape:
        raise BadModel(f"the model's {name} has shape {array.shape}, not {shape}")
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise BadModel(f"the model's {name} is not finite float32")
    return array
