"""Update stored embeddings of labelled images after a change of the backbone.

A job computes them anyway, because it reads these images.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.domain.pool.images import PoolRow
    from octospoon.ports.pool import TrainingPool
    from octospoon.training.data.dataset import Dataset


def keep(pool: TrainingPool, dataset: Dataset, rows: Mapping[str, PoolRow], backbone: str) -> int:
    """Replace stored embeddings of other backbones by those of the backbone in service.

    Otherwise no earlier label could measure the model, and every job would read all images again.

    Args:
        pool: where embeddings are stored.
        dataset: the images, with embeddings of the backbone in service.
        rows: the pool's rows of these images, by key.
        backbone: sha256 of the backbone in service.

    Returns:
        The number of rows replaced.
    """
    stale = [
        replace(rows[image.key], backbone=backbone, embedding=dataset.embeddings[i])
        for i, image in enumerate(dataset.images)
        if image.key in rows and _is_stale(rows[image.key], image.etag, backbone)
    ]
    return len(pool.reembed(stale))


def _is_stale(row: PoolRow, etag: str, backbone: str) -> bool:
    return row.state is State.LABELLED and row.etag == etag and row.backbone != backbone
