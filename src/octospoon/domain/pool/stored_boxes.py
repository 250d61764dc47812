"""Predicted boxes in the form in which rows of the pool keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool.boxes import CORNERS

if TYPE_CHECKING:
    import numpy.typing as npt

DETECTIONS = 100
"""The most pairs of box and class that a row keeps: those with the highest scores."""
FAINT = 0.05
"""A row keeps no pair with a lower score. It counts for no strategy, and annotators never see it."""
_SHARE = 65_535
_DETECTION = np.dtype([("corners", "<u2", CORNERS), ("score", "<f2"), ("class", "<u2")])


def pack(predicted: npt.NDArray[np.float32]) -> bytes:
    """Return predicted boxes in the form of a row: at most 1,202 bytes, for any number of classes.

    Two bytes hold the number of classes. Each further twelve hold a pair of box and class: the corners as
    shares of 65,535, the score as float16, and the index of the class. All numbers are little-endian.
    A corner as float16 would be as long, and up to 16 times less exact.

    Args:
        predicted: float32 [K, 4 + C], see `octospoon.domain.pool.boxes`.
    """
    corners, scores = np.split(predicted, [CORNERS], axis=1)
    rows, classes = np.nonzero(scores.astype(np.float16) >= np.float16(FAINT))
    best = np.argsort(-scores[rows, classes], kind="stable")[:DETECTIONS]
    rows, classes = (places[np.sort(best)] for places in (rows, classes))
    made = np.zeros(len(rows), _DETECTION)
    made["corners"], made["class"] = _whole(corners[rows]), classes
    made["score"] = scores[rows, classes]
    return np.array(scores.shape[1], "<u2").tobytes() + made.tobytes()


def _whole(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return corners [R, 4] as whole numbers; no box loses its area by rounding."""
    whole = np.rint(corners.astype(np.float64) * _SHARE).astype(np.int64)
    low = np.minimum(whole[:, :2], _SHARE - 1)
    return np.concatenate([low, np.maximum(whole[:, 2:], low + 1)], axis=1)


def unpack(data: bytes) -> npt.NDArray[np.float32]:
    """Return the boxes that `pack` made bytes of, float32 [K, 4 + C] without unused rows."""
    count, stored = int(np.frombuffer(data, "<u2", 1)[0]), np.frombuffer(data, _DETECTION, offset=2)
    # the classes of a box follow each other in their order
    same = (stored["corners"][1:] == stored["corners"][:-1]).all(axis=1)
    starts = np.append(True, ~same | (stored["class"][1:] <= stored["class"][:-1]))[: len(stored)]
    rows = np.cumsum(starts) - 1
    predicted = np.zeros((int(starts.sum()), CORNERS + count), np.float32)
    predicted[rows, :CORNERS] = stored["corners"] / np.float32(_SHARE)
    predicted[rows, CORNERS + stored["class"].astype(np.int64)] = stored["score"]
    return predicted


def as_stored(predicted: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return predicted boxes float32 [K, 4 + C] as a row of the pool gives them back, without unused rows."""
    return unpack(pack(predicted))
