"""Read the pool in one pass, with a memory that does not grow with it: at most `LIMIT` images are kept."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool.images import State
from octospoon.domain.pool.keys import sampling_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.pool.images import PoolImage

LIMIT = 100_000
"""Most images on the map. Of a larger pool, it shows a uniform sample."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The images to show.

    Attributes:
        images: at most `LIMIT` images without their embeddings, in a fixed order.
        counts: number of images of the whole pool by state.
        rows: the row in `embeddings` of each image; -1 for an image without a comparable embedding.
        embeddings: float16 [M, D], on disk; None if no image has one.
    """

    images: list[PoolImage]
    counts: dict[State, int]
    rows: npt.NDArray[np.int64]
    embeddings: npt.NDArray[np.float16] | None

    @property
    def total(self) -> int:
        """The number of images in the pool."""
        return sum(self.counts.values())


class Spool:
    """Embeddings of equal length in a file.

    Args:
        path: of the file, which is replaced.
        backbone: sha256 of the backbone whose embeddings are kept; those of others are not comparable.
        limit: most embeddings.
    """

    def __init__(self, path: Path, backbone: str, limit: int) -> None:
        self._path, self._backbone, self._limit = path, backbone, limit
        self._file: np.memmap[tuple[int, int], np.dtype[np.float16]] | None = None
        self._used, self._free = 0, list[int]()

    def keep(self, image: PoolImage) -> int:
        """Store the embedding of an image; return its row, or -1 if it is not comparable."""
        vector = image.embedding
        if vector is None or image.backbone != self._backbone:
            return -1
        if self._file is None:
            self._file = np.memmap(self._path, np.float16, "w+", shape=(self._limit, len(vector)))
        if len(vector) != self._file.shape[1]:
            return -1
        row = self._free.pop() if self._free else self._used
        self._used = max(self._used, row + 1)
        self._file[row] = vector
        return row

    def forget(self, row: int) -> None:
        """Let the row of an embedding be used again; -1 for no row."""
        if row >= 0:
            self._free.append(row)

    def close(
        self, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16] | None]:
        """Close the gaps that forgotten rows left.

        Args:
            rows: the row of each image; -1 for none.

        Returns:
            The rows now, and the embeddings, float16 [M, D]; None if there are none.
        """
        used = np.sort(rows[rows >= 0])
        if self._file is None or not len(used):
            return np.full_like(rows, -1), None
        for new, old in enumerate(used.tolist()):
            if new != old:
                self._file[new] = self._file[old]
        return np.where(rows < 0, -1, np.searchsorted(used, rows)), self._file[: len(used)]


def read_sample(images: Iterable[PoolImage], backbone: str, path: Path, limit: int = LIMIT) -> Sample:
    """Keep a uniform sample of the pool: the images with the lowest sampling keys.

    The sample of an unchanged pool is always the same, and a new image changes it by one image at most.

    Args:
        images: the whole pool, in any order.
        backbone: sha256 of the backbone whose embeddings are kept.
        path: of a file for the embeddings.
        limit: most images.
    """
    spool, counts = Spool(path, backbone, limit), Counter[State]()
    heap: list[tuple[float, str, int, PoolImage]] = []  # a heap with the highest sampling key on top
    for image in images:
        counts[image.state] += 1
        order = -sampling_key(image.key)
        if len(heap) < limit:
            row = spool.keep(image)
            heapq.heappush(heap, (order, image.key, row, replace(image, embedding=None)))
        elif order > heap[0][0]:
            spool.forget(heap[0][2])
            row = spool.keep(image)
            heapq.heapreplace(heap, (order, image.key, row, replace(image, embedding=None)))
    heap.sort(key=lambda entry: (-entry[0], entry[1]))
    rows, embeddings = spool.close(np.array([row for _, _, row, _ in heap], np.int64))
    states = {state: counts[state] for state in State}
    return Sample([image for *_, image in heap], states, rows, embeddings)
