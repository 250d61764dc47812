"""The pool as the trainer reads and writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import pack
from octospoon.adapters.dynamodb.pool.sampling import DynamoSampling
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.pool.images import PoolRow

_LABELLED_BYTES = "#etag = :etag AND #state = :labelled"


class DynamoTrainingPool(DynamoSampling):
    """Implements `octospoon.ports.pool.TrainingPool`."""

    def reembed(self, rows: Sequence[PoolRow]) -> set[str]:
        """Store the embeddings and backbones of labelled images; return the keys that were written."""
        return {
            row.key
            for row in rows
            if self._table.update(
                row.key,
                {"backbone": row.backbone, "embedding": pack(row.embedding)},
                (),
                _LABELLED_BYTES,
                {":etag": row.etag, ":labelled": State.LABELLED},
            )
        }
