"""The nearest images of an image, by the snapshot's projection of their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.ui.layout import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.pool.images import PoolRow
    from octospoon.ui.snapshot import Snapshot

NEAR_COPY = 0.003
"""Cosine distance of two embeddings up to which images are near-copies; the template's MinDistance."""


def similar(
    snapshot: Snapshot,
    rows: Sequence[PoolRow],
    n: int,
    among: npt.NDArray[np.bool_] | None = None,
) -> list[list[int]]:
    """Return for each row the positions in the snapshot of its n nearest other images, nearest first.

    A row whose embedding is of another backbone than the snapshot's has none.

    Args:
        snapshot: of the pool.
        rows: of the pool.
        n: most images for each row.
        among: bool [N], the images of the snapshot that may be returned; None for all.
    """
    projection = snapshot.projection
    usable = np.isfinite(snapshot.reduced).all(axis=1) & (True if among is None else among)
    known = np.flatnonzero(usable)
    comparable = [i for i, row in enumerate(rows) if row.backbone == snapshot.facts["backbone"]]
    neighbours: list[list[int]] = [[] for _ in rows]
    if projection is None or not len(known) or not comparable:
        return neighbours
    points = projection(np.stack([rows[i].embedding for i in comparable]).astype(np.float16))
    near = known[nearest(points, snapshot.reduced[known], n + 1)].tolist()
    for i, positions in zip(comparable, near, strict=True):
        neighbours[i] = [at for at in positions if snapshot.keys[at] != rows[i].key][:n]
    return neighbours


def distances(row: PoolRow, others: Mapping[str, PoolRow]) -> dict[str, float]:
    """Return the cosine distance of an image's embedding to those of others, by key; same backbone only."""
    own = row.embedding.astype(np.float64)
    result = {}
    for key, other in others.items():
        if other.backbone == row.backbone and other.embedding.shape == row.embedding.shape:
            vector = other.embedding.astype(np.float64)
            lengths = float(np.linalg.norm(own) * np.linalg.norm(vector))
            result[key] = 1.0 - float(own @ vector) / lengths if lengths > 0 else 1.0
    return result
