"""The pool as the score function writes it: one row for each upload, scored or in quarantine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb import partiql
from octospoon.adapters.dynamodb.items import Value, dump_item, integer, names_of, text
from octospoon.adapters.dynamodb.label_counter import NOT_COUNTED
from octospoon.adapters.dynamodb.pool import score_history
from octospoon.adapters.dynamodb.pool.rows import PoolTable
from octospoon.adapters.dynamodb.pool.scores import (
    embedding_attributes,
    refresh,
    refresh_chosen,
    score_attributes,
)
from octospoon.adapters.dynamodb.requests import batch_get, if_met
from octospoon.domain.pool.images import ImageRef, KnownScore, ScoredImage, State
from octospoon.domain.pool.keys import day, shard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.adapters.dynamodb.label_counter import LabelCounter
    from octospoon.adapters.dynamodb.pool.scores import Order
    from octospoon.domain.pool.images import Prediction

LOG = logging.getLogger(__name__)
_SEQUENCER_LENGTH = 32
_KNOWN = ("key", "etag", "generation", "backbone", "state", "sequencer", "object_etag")

# An older event replaces nothing. The same bytes replace only a quarantined row. A label goes with
# `_supersede`, which also corrects the counter.
_REPLACES = (
    "attribute_not_exists(#key) OR (#sequencer <= :sequencer AND #state <> :labelled"
    " AND (#etag <> :etag OR #state = :quarantined))"
)
_SAME_UPLOAD_OR_LATER = "#etag = :etag AND #sequencer <= :sequencer"
_STILL_LABELLED = "#state = :labelled AND #etag = :was_etag AND #sequencer <= :sequencer"


class DynamoScoringPool:
    """Implements `octospoon.ports.pool.ScoringPool`.

    Args:
        client: of DynamoDB.
        table: name of the pool table.
        order: how the pool orders images.
        now: the time, recorded with every write.
        counter: of new labels, for labelled images whose bytes change.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        order: Order,
        now: Callable[[], float],
        counter: LabelCounter,
    ) -> None:
        self._table = PoolTable(client, table)
        self._order = order
        self._now = now
        self._counter = counter

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        """Write one score unless the row holds something newer; return True if it was written."""
        (scores,) = self._score_attributes([ScoredImage(image, prediction)])
        values = self._identity(image, State.SCORED) | scores
        if self._put(values):
            return True
        self.note_upload(image)
        return self._refresh(image, prediction.generation, scores) or self._supersede(values)

    def refresh_score(self, image: ImageRef, prediction: Prediction) -> bool:
        """Replace the score of an unlabelled image; return True if it was written."""
        (scores,) = self._score_attributes([ScoredImage(image, prediction)])
        return self._refresh(image, prediction.generation, scores)

    def note_upload(self, image: ImageRef) -> None:
        """Record a newer upload of the same bytes that a row holds."""
        sequencer = _padded(image.sequencer)
        values: dict[str, Value | None] = {"sequencer": sequencer, "object_etag": image.object_etag or None}
        remove = () if image.object_etag else ("object_etag",)
        given: dict[str, Value] = {":etag": image.etag, ":sequencer": sequencer}
        self._table.update(image.key, values, remove, _SAME_UPLOAD_OR_LATER, given)

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        """Write the scores of images that have no row yet, in few calls; return the keys that were written.

        A batch of statements costs a tenth of the processor time of as many conditional writes. Unlike a
        transaction, it costs no more capacity.
        """
        inserts = [
            partiql.insert(self._table.name, self._identity(image.image, State.SCORED) | values)
            for image, values in zip(scored, self._score_attributes(scored), strict=True)
        ]
        errors = partiql.execute(self._table.client, inserts)
        return {image.image.key for image, error in zip(scored, errors, strict=True) if not error}

    def scored(self, keys: Sequence[str]) -> dict[str, KnownScore]:
        """Return the models of the stored scores by key, without images that have none."""
        return {
            text(item, "key"): KnownScore(
                text(item, "etag"),
                integer(item, "generation"),
                text(item, "backbone"),
                text(item, "sequencer"),
                text(item, "object_etag"),
            )
            for item in batch_get(self._table.client, self._table.name, keys, _KNOWN, consistent=False)
            if text(item, "state") != State.QUARANTINED
        }

    def put_quarantine(self, image: ImageRef, reason: str, detail: str) -> bool:
        """Put one upload into quarantine unless the row holds a newer one; return True if it was written."""
        why: dict[str, Value | None] = {"reason": reason, "detail": detail[:1000]}
        values = self._identity(image, State.QUARANTINED) | why | {"quarantined_at": self._now()}
        if self._put(values):
            return True
        self.note_upload(image)
        return self._supersede(values)

    def _identity(self, image: ImageRef, state: State) -> dict[str, Value | None]:
        return {
            "key": image.key,
            "state": str(state),
            "etag": image.etag,
            "object_etag": image.object_etag or None,
            "sequencer": _padded(image.sequencer),
            "size": image.size,
            "arrival": f"{day(self._now())}/{shard(image.key):02d}",
        }

    def _score_attributes(self, scored: Sequence[ScoredImage]) -> list[dict[str, Value | None]]:
        keys = [image.image.key for image in scored]
        predictions = [image.prediction for image in scored]
        return [
            embedding_attributes(key, prediction) | scores
            for key, prediction, scores in zip(
                keys,
                predictions,
                score_attributes(keys, predictions, self._order, self._now()),
                strict=True,
            )
        ]

    def _refresh(self, image: ImageRef, generation: int, scores: dict[str, Value | None]) -> bool:
        row = self._table, image.key, image.etag, generation, scores
        return refresh(*row) or refresh_chosen(*row)

    def _put(self, values: dict[str, Value | None]) -> bool:
        given: dict[str, Value | None] = {
            ":etag": values["etag"],
            ":sequencer": values["sequencer"],
            ":labelled": State.LABELLED,
            ":quarantined": State.QUARANTINED,
        }
        # a row is usually there: `insert_scores` has written the new ones
        before = self._table.item(str(values["key"]))
        whole = score_history.with_previous(values, before, self._now())
        with translated(f"writing {values['key']!s}"):
            return if_met(
                lambda: self._table.client.put_item(
                    TableName=self._table.name,
                    Item=dump_item(whole),
                    ConditionExpression=_REPLACES,
                    ExpressionAttributeNames=names_of(_REPLACES),
                    ExpressionAttributeValues=dump_item(given),
                )
            )

    def _supersede(self, values: dict[str, Value | None]) -> bool:
        """Replace a labelled image by newer bytes, without its label, and correct the counter of labels."""
        item = self._table.item(str(values["key"]))
        if item is None or text(item, "state") != State.LABELLED or text(item, "etag") == values["etag"]:
            return False
        if text(item, "sequencer") > str(values["sequencer"]):
            return False
        given: dict[str, Value | None] = {
            ":labelled": State.LABELLED,
            ":was_etag": text(item, "etag"),
            ":sequencer": values["sequencer"],
        }
        put = {
            "TableName": self._table.name,
            "Item": dump_item(score_history.with_previous(values, item, self._now())),
            "ConditionExpression": _STILL_LABELLED,
            "ExpressionAttributeNames": names_of(_STILL_LABELLED),
            "ExpressionAttributeValues": dump_item(given),
        }
        count, _ = self._counter.change(-1, integer(item, "counted_in", NOT_COUNTED))
        with translated(f"replacing the labelled {values['key']!s}"):
            self._table.client.transact_write_items(TransactItems=[{"Put": put}, count])  # type: ignore[list-item,typeddict-item]
        LOG.info("new bytes of %s: its label %r is reset", values["key"], text(item, "label"))
        return True


def _padded(sequencer: str) -> str:
    # S3: compare sequencers as strings, the shorter one padded with zeros on the right
    return sequencer.ljust(_SEQUENCER_LENGTH, "0")
