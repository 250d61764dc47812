"""DynamoDB's wire format for the types that octospoon stores.

boto3's general serialiser takes five times as long and refuses floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.domain.pool.boxes import CORNERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

Value = str | int | float | bool | bytes
Item = dict[str, Any]
DETECTIONS = 100
"""The most pairs of box and class that a row keeps: those with the highest scores."""
FAINT = 0.05
"""A row keeps no pair with a lower score. It counts for no strategy, and annotators never see it."""
_SHARE = 65_535
_DETECTION = np.dtype([("corners", "<u2", CORNERS), ("score", "<f2"), ("class", "<u2")])


def dump(value: Value) -> dict[str, Any]:
    """Return DynamoDB's form of one value."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": value}
    return {"N": repr(value)}


def dump_item(values: Mapping[str, Value | None]) -> Item:
    """Return DynamoDB's form of a whole item; None leaves an attribute out."""
    return {name: dump(value) for name, value in values.items() if value is not None}


def text(item: Item, name: str, default: str = "") -> str:
    """Read a string attribute."""
    return str(item[name]["S"]) if name in item else default


def number(item: Item, name: str, default: float = 0.0) -> float:
    """Read a number attribute as a float."""
    return float(item[name]["N"]) if name in item else default


def integer(item: Item, name: str, default: int = 0) -> int:
    """Read a number attribute as an int."""
    return int(item[name]["N"]) if name in item else default


def flag(item: Item, name: str) -> bool:
    """Read a boolean attribute; False if it is missing."""
    return bool(item[name]["BOOL"]) if name in item else False


def pack(array: npt.NDArray[np.float32] | None) -> bytes | None:
    """Return a vector as little-endian float16 bytes, an eighth of the size of a DynamoDB list."""
    return None if array is None else array.astype("<f2").tobytes()


def unpack(item: Item, name: str) -> npt.NDArray[np.float32] | None:
    """Read a float16 vector attribute as float32, or None if it is missing."""
    return np.frombuffer(item[name]["B"], "<f2").astype(np.float32) if name in item else None


def pack_boxes(predicted: npt.NDArray[np.float32]) -> bytes:
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


def unpack_boxes(item: Item, name: str) -> npt.NDArray[np.float32] | None:
    """Read the boxes of a row as float32 [K, 4 + C] without unused rows, or None if they are missing."""
    if name not in item:
        return None
    data = item[name]["B"]
    count, stored = int(np.frombuffer(data, "<u2", 1)[0]), np.frombuffer(data, _DETECTION, offset=2)
    # the classes of a box follow each other in their order
    same = (stored["corners"][1:] == stored["corners"][:-1]).all(axis=1)
    starts = np.append(True, ~same | (stored["class"][1:] <= stored["class"][:-1]))[: len(stored)]
    rows = np.cumsum(starts) - 1
    predicted = np.zeros((int(starts.sum()), CORNERS + count), np.float32)
    predicted[rows, :CORNERS] = stored["corners"] / np.float32(_SHARE)
    predicted[rows, CORNERS + stored["class"].astype(np.int64)] = stored["score"]
    return predicted


def names_of(expression: str) -> dict[str, str]:
    """Return the names map of an expression in which every name is written as ``#name``."""
    words = expression.replace(",", " ").replace("(", " ").replace(")", " ").split()
    return {word: word[1:] for word in words if word.startswith("#")}
