"""Compute the uncertainty scores that strategies, stored scores and reports share.

This module is separate from the strategies so that the scoring function does not load them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from octospoon.domain.pool.images import Uncertainty

_CHUNK = 5 << 17
BITS: dict[int, npt.DTypeLike] = {2: np.uint16, 4: np.uint32, 8: np.uint64}
ORDERS = {
    "least_confidence": "least_confidence",
    "margin": "margin",
    "entropy": "entropy",
    "random": "",
    "power_margin": "margin",
    "margin_diverse": "margin",
    "typiclust": "",
}
"""The field of `Uncertainty` that orders the pool, by strategy; empty if the pool keeps its random order."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A contiguous part of the rows of a probability matrix.

    Attributes:
        rows: the positions of the n rows.
        columns: float [C, n], the probabilities, class-major.
        largest: float [n], the largest probability of each row.
    """

    rows: slice
    columns: npt.NDArray[np.floating]
    largest: npt.NDArray[np.floating]


def checked(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the array unchanged if it is float [N, C] with C >= 2.

    Raises:
        ValueError: the array has another shape.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(f"probabilities must be [N, C] with at least two classes, not {probabilities.shape}")
    return probabilities


def chunks(
    probabilities: npt.NDArray[np.floating], begin: int = 0, end: int | None = None
) -> Iterator[Chunk]:
    """Yield the rows of a probability matrix in chunks that fit into the processor's cache.

    The columns are views if the array is class-major (Fortran order). Otherwise they are copies in one buffer
    that the next chunk overwrites.

    Args:
        probabilities: float [N, C], C >= 2.
        begin: the first row.
        end: the row after the last; None for N.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    classes = checked(probabilities).shape[1]
    rows = max(256, _CHUNK // (classes * probabilities.itemsize))
    buffer = np.empty(0, probabilities.dtype)
    stop = len(probabilities) if end is None else end
    for start in range(begin, stop, rows):
        part = slice(start, min(start + rows, stop))
        columns = probabilities[part].T
        if columns.strides[1] != columns.itemsize:
            buffer = buffer if buffer.size else np.empty(columns.size, columns.dtype)
            copy = buffer[: columns.size].reshape(columns.shape)
            np.copyto(copy, columns)
            columns = copy
        yield Chunk(part, columns, _largest(columns, start))


def _largest(columns: npt.NDArray[np.floating], start: int) -> npt.NDArray[np.floating]:
    """Return the largest number of each column of float [C, n].

    Raises:
        ValueError: a number is not finite.
    """
    bits = BITS.get(columns.itemsize)
    if bits:
        # Read as unsigned integers, non-negative floats keep their order, and infinity, NaN and negative
        # numbers are larger than all of them. So one pass finds both the largest number and any bad one.
        largest = columns.view(bits).max(axis=0)
        if largest.max() < np.array(np.inf, columns.dtype).view(bits):
            return np.asarray(largest.view(columns.dtype))
    finite = np.isfinite(columns)
    if not finite.all():
        row = start + int(np.flatnonzero(~finite.all(axis=0))[0])
        raise ValueError(
            f"row {row} of the probabilities is not finite: score that image again with a sound model, "
            "or leave its row out"
        )
    return np.asarray(columns.max(axis=0))


def two_largest(
    chunk: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Return the largest and the second largest number of each column of float [C, n], two arrays [n]."""
    first = np.maximum(chunk[0], chunk[1])
    second = np.minimum(chunk[0], chunk[1])
    spare = np.empty_like(first)
    for column in chunk[2:]:
        np.minimum(first, column, out=spare)
        np.maximum(second, spare, out=second)
        np.maximum(first, column, out=first)
    return first, second


def normalised_entropy(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return -sum p log p / log C of each row, float64 [N] in [0, 1] (Shannon 1948, over its maximum).

    Args:
        probabilities: float [N, C], C >= 2.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    entropy = np.empty(len(probabilities))
    for chunk in chunks(probabilities):
        wide = chunk.columns.astype(np.float64)
        logs = np.log(wide, out=np.zeros_like(wide), where=wide > 0)
        entropy[chunk.rows] = -np.einsum("cn,cn->n", wide, logs) / np.log(len(wide))
    return np.clip(entropy, 0.0, 1.0)


def order_of(strategy: str) -> str:
    """Return the field of `Uncertainty` by which a strategy orders the pool, empty for none; see ORDERS.

    Raises:
        NotConfigured: there is no strategy of that name.
    """
    if strategy not in ORDERS:
        raise NotConfigured(f"there is no strategy {strategy!r}: choose one of {', '.join(ORDERS)}")
    return ORDERS[strategy]


def priority(uncertainty: Uncertainty, strategy: str) -> float:
    """Return the number by which the pool orders an image for a strategy; higher comes first.

    It equals the strategy's `score` of the same probabilities. Strategies without a score (random, typiclust)
    give 0, because their candidates are a uniform draw of the pool.

    Raises:
        NotConfigured: there is no strategy of that name.
    """
    order = order_of(strategy)
    return float(getattr(uncertainty, order)) if order else 0.0
