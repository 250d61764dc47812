"""Predicted boxes in the form in which rows of the pool keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool.boxes import CORNERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

DETECTIONS = 100
"""The most pairs of box and class that a row keeps: those with the highest scores."""
FAINT = 0.05
"""A row keeps no pair with a lower score. It counts for no strategy, and annotators never see it."""
HEADER = 2
"""Bytes before the first pair, which hold the number of classes."""
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
    stored = np.frombuffer(data, _DETECTION, offset=HEADER)
    starts = _starts(stored)
    return _filled(stored, np.cumsum(starts) - 1, int(starts.sum()), classes_of(data))


def unpack_together(rows: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Return the boxes of N > 0 images whose models have equally many classes.

    Returns:
        float32 [N, K, 4 + C], as `octospoon.domain.pool.boxes.together` stacks what `unpack` returns.
    """
    stored = np.frombuffer(b"".join(data[HEADER:] for data in rows), _DETECTION)
    sizes = [(len(data) - HEADER) // _DETECTION.itemsize for data in rows]
    images = np.repeat(np.arange(len(rows)), sizes)
    starts = _starts(stored)
    starts[1:] |= images[1:] != images[:-1]
    used = np.bincount(images[starts], minlength=len(rows))
    most = max(1, int(used.max()))
    # the boxes of all images are numbered; those of an image begin at a multiple of `most` instead
    shift = np.arange(len(rows)) * most - (np.cumsum(used) - used)
    predicted = _filled(stored, np.cumsum(starts) - 1 + shift[images], len(rows) * most, classes_of(rows[0]))
    return predicted.reshape(len(rows), most, -1)


def classes_of(data: bytes) -> int:
    """Return how many classes the model had whose boxes `pack` made bytes of."""
    return int(np.frombuffer(data, "<u2", 1)[0])


def _starts(stored: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return which of the pairs [R] of one image are the first of a box."""
    # the classes of a box follow each other in their order
    same = (stored["corners"][1:] == stored["corners"][:-1]).all(axis=1)
    return np.append(True, ~same | (stored["class"][1:] <= stored["class"][:-1]))[: len(stored)]


def _filled(
    stored: npt.NDArray[np.void], rows: npt.NDArray[np.int64], count: int, classes: int
) -> npt.NDArray[np.float32]:
    """Return `count` rows with the boxes of pairs [R], whose row is given for each."""
    predicted = np.zeros((count, CORNERS + classes), np.float32)
    predicted[rows, :CORNERS] = stored["corners"] / np.float32(_SHARE)
    predicted[rows, CORNERS + stored["class"].astype(np.int64)] = stored["score"]
    return predicted


def as_stored(predicted: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return predicted boxes float32 [K, 4 + C] as a row of the pool gives them back, without unused rows."""
    return unpack(pack(predicted))
