"""Stored embeddings of labelled images follow the backbone: a job has read their pictures anyway."""

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
    """Store embeddings of the backbone in service where another's are stored; return how many were.

    Without them no label given before would measure the model, and every job would read all pictures again.

    Args:
        pool: where.
        dataset: the images, with the embeddings of the backbone in service.
        rows: what the pool holds of them, by key.
        backbone: its sha256.
    """
    stale = [
        replace(rows[image.key], backbone=backbone, embedding=dataset.embeddings[i])
        for i, image in enumerate(dataset.images)
        if image.key in rows and _is_stale(rows[image.key], image.etag, backbone)
    ]
    return len(pool.reembed(stale))


def _is_stale(row: PoolRow, etag: str, backbone: str) -> bool:
    return row.state is State.LABELLED and row.etag == etag and row.backbone != backbone
