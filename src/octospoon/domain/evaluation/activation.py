"""Turn the logits of a head into probabilities, as the graph of a head file does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.model_spec import FLOOR, SIGMOID

if TYPE_CHECKING:
    import numpy.typing as npt


def activated(logits: npt.NDArray[np.floating], activation: str) -> npt.NDArray[np.floating]:
    """Return probabilities float [N, C] for logits float [N, C], in the same precision.

    Args:
        logits: float [N, C].
        activation: one of `octospoon.domain.model_spec.ACTIVATIONS`.
    """
    if activation == SIGMOID:
        # the exponential of a negative number cannot overflow
        small = np.exp(-np.abs(logits))
        result: npt.NDArray[np.floating] = np.where(logits >= 0, 1, small) / (1 + small)
        return result
    # subtracting the maximum avoids overflow
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    shares: npt.NDArray[np.floating] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def spread(activation: str, classes: int) -> float:
    """Return what a head file adds to each of C probabilities, after it has scaled them by 1 - FLOOR.

    FLOOR is spread over the outcomes: all classes of a softmax, presence and absence of a sigmoid.

    Args:
        activation: one of `octospoon.domain.model_spec.ACTIVATIONS`.
        classes: C.
    """
    return FLOOR / (2 if activation == SIGMOID else classes)
