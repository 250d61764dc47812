"""DynamoDB's wire format for the types that octospoon stores.

boto3's general serialiser takes five times as long and refuses floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.domain.pool import stored_boxes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

Value = str | int | float | bool | bytes
Item = dict[str, Any]


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


def unpack_prediction(item: Item) -> npt.NDArray[np.float32] | None:
    """Read the prediction of a row: boxes float32 [K, 4 + C], probabilities [C], or None without either."""
    return stored_boxes.unpack(item["boxes"]["B"]) if "boxes" in item else unpack(item, "probabilities")


def names_of(expression: str) -> dict[str, str]:
    """Return the names map of an expression in which every name is written as ``#name``."""
    words = expression.replace(",", " ").replace("(", " ").replace(")", " ").split()
    return {word: word[1:] for word in words if word.startswith("#")}
