"""The arithmetic of uncertainty that every strategy, the pool's stored scores and the reports share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.entities import Uncertainty

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class TopTwo:
    """The two largest probabilities of each row.

    Attributes:
        first: float64 [N], the largest.
        second: float64 [N], the next one, equal to the first where two classes tie.
        index: int64 [N], the class of the largest; the lowest index where classes tie.
    """

    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]
    index: npt.NDArray[np.int64]


def checked(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the array unchanged if it is float [N, C] with C >= 2.

    Raises:
        ValueError: it is not.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(f"probabilities must be [N, C] with at least two classes, not {probabilities.shape}")
    return probabilities


def columns(probabilities: npt.NDArray[np.floating]) -> Iterator[tuple[slice, npt.NDArray[np.floating]]]:
    """Yield the rows in chunks, as class-major copies [C, n] that stay in the processor's cache.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    rows = max(256, _CHUNK // checked(probabilities).shape[1] // 4)
    for start in range(0, len(probabilities), rows):
        part = slice(start, min(start + rows, len(probabilities)))
        chunk = np.ascontiguousarray(probabilities[part].T)
        _refuse_non_finite(chunk, start)
        yield part, chunk


def _refuse_non_finite(chunk: npt.NDArray[np.floating], start: int) -> None:
    finite = np.isfinite(chunk)
    if not finite.all():
        row = start + int(np.flatnonzero(~finite.all(axis=0))[0])
        raise ValueError(
            f"row {row} of the probabilities is not finite: score that image again with a sound model, "
            "or leave its row out"
        )


def top_two(probabilities: npt.NDArray[np.floating]) -> TopTwo:
    """Find the two largest probabilities of each row of float [N, C].

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    n = len(probabilities)
    found = TopTwo(np.empty(n), np.empty(n), np.empty(n, np.int64))
    for part, chunk in columns(probabilities):
        index = chunk.argmax(axis=0)
        first = np.maximum(chunk[0], chunk[1])
        second = np.minimum(chunk[0], chunk[1])
        for column in chunk[2:]:
            np.maximum(second, np.minimum(first, column), out=second)
            np.maximum(first, column, out=first)
        found.first[part], found.second[part], found.index[part] = first, second, index
    return found


def normalised_entropy(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return -sum p log p / log C of each row of float [N, C], float64 [N] in [0, 1].

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    entropy = np.empty(len(probabilities))
    for part, chunk in columns(probabilities):
        wide = chunk.astype(np.float64)
        logs = np.log(wide, out=np.zeros_like(wide), where=wide > 0)
        entropy[part] = -np.einsum("cn,cn->n", wide, logs) / np.log(len(chunk))
    return np.clip(entropy, 0.0, 1.0)


def uncertainty(probabilities: npt.NDArray[np.floating]) -> Uncertainty:
    """Return the raw scores of one image.

    Args:
        probabilities: float [C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    row = probabilities[np.newaxis]
    top = top_two(row)
    first, second = float(top.first[0]), float(top.second[0])
    return Uncertainty(
        least_confidence=1.0 - first,
        margin=1.0 - (first - second),
        entropy=float(normalised_entropy(row)[0]),
        top_class=int(top.index[0]),
        confidence=first,
    )
