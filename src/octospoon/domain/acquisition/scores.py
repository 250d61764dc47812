"""The arithmetic of uncertainty that every strategy, the pool's stored scores and the reports share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.entities import Uncertainty

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

_CHUNK = 1 << 20


class Measure(Protocol):
    """Measures confidence in a chunk of rows, in the precision of the probabilities."""

    def __call__(self, chunk: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return float [n] for class-major [C, n]; the smaller, the more a strategy wants the row."""


def checked(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the array unchanged if it is float [N, C] with C >= 2.

    Raises:
        ValueError: it is not.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(f"probabilities must be [N, C] with at least two classes, not {probabilities.shape}")
    return probabilities


def columns(probabilities: npt.NDArray[np.floating]) -> Iterator[tuple[slice, npt.NDArray[np.floating]]]:
    """Yield the rows in chunks, class-major [C, n], each small enough for the processor's cache.

    Copies, or views where the array lies class-major (in Fortran's order) already.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    bytes_a_row = checked(probabilities).shape[1] * probabilities.itemsize
    rows = max(256, _CHUNK // bytes_a_row)
    for start in range(0, len(probabilities), rows):
        part = slice(start, min(start + rows, len(probabilities)))
        chunk = probabilities[part].T
        if chunk.strides[1] != chunk.itemsize:
            chunk = np.ascontiguousarray(chunk)
        _refuse_non_finite(chunk, start)
        yield part, chunk


def _refuse_non_finite(chunk: npt.NDArray[np.floating], start: int) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        total = chunk.sum()
    if np.isfinite(total):  # one pass, and no array: a sum with NaN or infinity in it is neither
        return
    finite = np.isfinite(chunk)
    if not finite.all():
        row = start + int(np.flatnonzero(~finite.all(axis=0))[0])
        raise ValueError(
            f"row {row} of the probabilities is not finite: score that image again with a sound model, "
            "or leave its row out"
        )


def largest(chunk: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the largest of each column of [C, n]."""
    result: npt.NDArray[np.floating] = chunk.max(axis=0)
    return result


def gap(chunk: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the largest less the second largest of each column of [C, n]."""
    first, second = two_largest(chunk)
    result: npt.NDArray[np.floating] = np.subtract(first, second, out=first)
    return result


def two_largest(
    chunk: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Return the largest and the second largest of each column of [C, n]."""
    first = np.maximum(chunk[0], chunk[1])
    second = np.minimum(chunk[0], chunk[1])
    spare = np.empty_like(first)
    for column in chunk[2:]:
        np.minimum(first, column, out=spare)
        np.maximum(second, spare, out=second)
        np.maximum(first, column, out=first)
    return first, second


def least(measure: Measure, probabilities: npt.NDArray[np.floating], n: int) -> npt.NDArray[np.int64]:
    """Return the positions of the n rows of float [N, C] with the smallest measure, and of all that tie.

    Only what is below the n-th smallest so far is kept: no array of N numbers is made, unless most rows tie.

    Raises:
        ValueError: the array has the wrong shape, or holds NaN or infinity.
    """
    values, positions = np.empty(0, probabilities.dtype), np.empty(0, np.int64)
    border, kept, room = np.inf, [(values, positions)], 2 * n
    for part, chunk in columns(probabilities):
        measured = measure(chunk)
        near = np.flatnonzero(measured <= border)
        kept.append((measured[near], near + part.start))
        if sum(len(found) for _, found in kept) > room or part.stop == len(probabilities):
            values, positions = (np.concatenate(parts) for parts in zip(*kept, strict=True))
            border = np.partition(values, n - 1)[n - 1] if len(values) > n > 0 else border
            below = values <= border
            kept = [(values[below], positions[below])]
            room = 2 * max(n, int(below.sum()))
    return kept[0][1]


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
    ((_, chunk),) = columns(row)
    first, second = (float(value[0]) for value in two_largest(chunk))
    return Uncertainty(
        least_confidence=1.0 - first,
        margin=1.0 - (first - second),
        entropy=float(normalised_entropy(row)[0]),
        top_class=int(probabilities.argmax()),
        confidence=first,
    )
