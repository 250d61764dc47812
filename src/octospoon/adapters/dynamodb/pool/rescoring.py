"""The pool as the rescore function refreshes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb import partiql
from octospoon.adapters.dynamodb.items import Item, integer, text
from octospoon.adapters.dynamodb.pool.rows import DynamoRows
from octospoon.adapters.dynamodb.pool.scores import refresh, score_attributes
from octospoon.adapters.dynamodb.requests import batch_get
from octospoon.domain.pool.images import UNLABELLED, ImageRef, State, UnlabelledImage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.adapters.dynamodb.pool.scores import Order
    from octospoon.domain.pool.images import PoolRow, Prediction

_UPLOAD = ("key", "etag", "sequencer", "size", "object_etag", "state", "backbone", "generation")
_SAME_BYTES = '"key"=? AND "etag"=? AND "state"=? AND "generation"<=?'


class DynamoRescoringPool(DynamoRows):
    """Implements `octospoon.ports.pool.RescoringPool`.

    Args:
        client: of DynamoDB.
        table: name of the pool table.
        order: how the pool orders images.
        now: the time, recorded with every score.
    """

    def __init__(self, client: DynamoDBClient, table: str, order: Order, now: Callable[[], float]) -> None:
        super().__init__(client, table)
        self._order = order
        self._now = now

    def unlabelled_images(self, keys: Sequence[str]) -> list[UnlabelledImage]:
        """Return those of these images that are selectable or wait for an answer, in order."""
        table, items = self._table, {}
        for item in batch_get(table.client, table.name, keys, _UPLOAD, consistent=False):
            if text(item, "state") in UNLABELLED:
                items[text(item, "key")] = _unlabelled(item)
        return [items[key] for key in keys if key in items]

    def rescore(self, rows: Sequence[PoolRow], predictions: Sequence[Prediction]) -> set[str]:
        """Replace the scores of selectable images with unchanged bytes; return the keys that were written.

        A batch of statements costs a seventh of the processor time of as many conditional updates. A
        statement that fails for another reason than its condition, such as throttling, is repeated as an
        update of its own, which boto3 retries.
        """
        fresh = score_attributes([row.key for row in rows], predictions, self._order, self._now())
        updates = [
            partiql.update(
                self._table.name,
                values,
                _SAME_BYTES,
                (row.key, row.etag, State.SCORED, prediction.generation),
            )
            for row, prediction, values in zip(rows, predictions, fresh, strict=True)
        ]
        written = set()
        errors = partiql.execute(self._table.client, updates)
        for row, prediction, values, error in zip(rows, predictions, fresh, errors, strict=True):
            again = error not in ("", partiql.NOT_MET)
            if not error or (
                again and refresh(self._table, row.key, row.etag, prediction.generation, values)
            ):
                written.add(row.key)
        return written


def _unlabelled(item: Item) -> UnlabelledImage:
    image = ImageRef(
        text(item, "key"),
        text(item, "etag"),
        text(item, "sequencer"),
        integer(item, "size"),
        text(item, "object_etag"),
    )
    return UnlabelledImage(image, text(item, "backbone"), integer(item, "generation"))
