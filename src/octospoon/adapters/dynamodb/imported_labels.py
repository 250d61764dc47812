"""Imported labels: many in one transaction, each with its row of the pool and the counter of new labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.adapters.dynamodb.annotation_items import annotation, annotation_item
from octospoon.adapters.dynamodb.items import Item, Value, dump_item, names_of, text
from octospoon.adapters.dynamodb.label_counter import LabelCounter
from octospoon.adapters.dynamodb.label_update import STATE_ATTRIBUTES, label_state, label_update, unchanged
from octospoon.adapters.dynamodb.pool.ranking import picked
from octospoon.adapters.dynamodb.requests import batch_get, query, update_expression
from octospoon.domain.errors import Conflict
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.imported import DRAWN, IMPORTED, Confirmation, annotation_id
from octospoon.domain.labelling.tasks import Annotation
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.domain.labelling.tasks import LabelState, Pick

_AT_ONCE = 49
"""Labels in one transaction: DynamoDB takes 100 writes, two for each label and one for the counter."""
_ATTEMPTS = 8
_PAGE = 100
_LABEL = ("label", "agreement", "annotators", "labelled_at", "counted_in", "task_id", "exported_at")
_PAUSE = 0.05
_NOT_DRAWN = "attribute_not_exists(#problem)"


class DynamoImportedLabels:
    """Implements `octospoon.ports.imported_labels.ImportedLabels`.

    Args:
        client: of DynamoDB.
        pool: name of the pool table.
        annotations: name of the annotations table.
        control: name of the control table.
        now: the time.
    """

    def __init__(
        self, client: DynamoDBClient, pool: str, annotations: str, control: str, now: Callable[[], float]
    ) -> None:
        self._client = client
        self._pool = pool
        self._annotations = annotations
        self._counter = LabelCounter(client, control)
        self._now = now

    def states(self, keys: Sequence[str]) -> dict[str, LabelState]:
        """Return the labels of these images by key, images in quarantine included, without missing ones."""
        items = batch_get(self._client, self._pool, keys, STATE_ATTRIBUTES)
        return {state.key: state for state in map(label_state, items)}

    def store(self, labels: Sequence[tuple[LabelState, str]]) -> set[str]:
        """Store imported labels, and count new ones towards training; return the keys that were written."""
        written: set[str] = set()
        for start in range(0, len(labels), _AT_ONCE):
            written |= self._store(labels[start : start + _AT_ONCE])
        return written

    def _store(self, labels: Sequence[tuple[LabelState, str]]) -> set[str]:
        """Store up to `_AT_ONCE` labels; leave out those whose condition is not met."""
        left = list(labels)
        for attempt in range(_ATTEMPTS):
            reasons = self._write(left)
            if not reasons:
                return {state.key for state, _ in left}
            refused = {i // 2 for i, reason in enumerate(reasons) if reason == "ConditionalCheckFailed"}
            left = [label for i, label in enumerate(left) if i not in refused]
            if not left:
                return set()
            if not refused:
                time.sleep(_PAUSE * 2**attempt)
        return set()

    def _write(self, labels: Sequence[tuple[LabelState, str]]) -> list[str]:
        """Write labels in one transaction; return nothing, or the reason for each write that stops it."""
        new = sum(state.state is not State.LABELLED for state, _ in labels)
        count, jobs = self._counter.change(new, 0) if new else ({}, 0)
        writes: list[dict[str, Any]] = []
        for state, label in labels:
            counted_in = state.counted_in if state.state is State.LABELLED else jobs
            agreed = Consensus(label, 1.0, 0)
            writes.append(self._put(state, label))
            writes.append(label_update(self._pool, state, agreed, counted_in, self._now()))
        with translated(f"storing {len(labels)} imported labels"):
            try:
                self._client.transact_write_items(TransactItems=[*writes, count] if new else writes)  # type: ignore[arg-type,list-item]
            except ClientError as error:
                if code(error) != "TransactionCanceledException":
                    raise
                reasons = error.response.get("CancellationReasons", [])
                codes = [str(reason.get("Code")) for reason in reasons]
                # the counter's condition fails if a job began meanwhile: then all labels are written again
                return codes[: 2 * len(labels)] or ["TransactionConflict"]
        return []

    def _put(self, state: LabelState, label: str) -> dict[str, Any]:
        stored = Annotation(
            key=state.key,
            etag=state.etag,
            annotation_id=annotation_id(state.etag),
            number=0,
            updated_at=datetime.fromtimestamp(self._now(), UTC).isoformat().replace("+00:00", "Z"),
            annotator=IMPORTED,
            label=label,
            source=IMPORTED,
        )
        return {
            "Put": {
                "TableName": self._annotations,
                "Item": annotation_item(stored),
                "ConditionExpression": _NOT_DRAWN,
                "ExpressionAttributeNames": names_of(_NOT_DRAWN),
            }
        }

    def counting(self) -> Iterator[tuple[str, str]]:
        """Yield the key and the etag of every image whose imported label counts, in any order."""
        for item in self._scan("#state = :state AND #annotators = :none", "#key, #etag"):
            yield text(item, "key"), text(item, "etag")

    def _scan(self, condition: str, chosen: str) -> Iterator[Item]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._pool,
            FilterExpression=condition,
            ProjectionExpression=chosen,
            ExpressionAttributeNames=names_of(f"{condition} {chosen}"),
            ExpressionAttributeValues=dump_item({":state": State.LABELLED, ":none": 0}),
            ConsistentRead=True,
        )
        with translated("reading the pool"):
            for page in pages:
                yield from page["Items"]

    def draw(self, pick: Pick, round_number: int, until: float) -> bool:
        """Claim an image with an imported label for a round in which people confirm its label."""
        before = self.states([pick.key]).get(pick.key)
        if before is None or before.state is not State.LABELLED or before.annotators:
            return False
        if before.etag != pick.etag:
            return False
        count, _ = self._counter.change(-1, before.counted_in)
        claim = self._claim(pick, before, round_number, until)
        try:
            with translated(f"drawing {pick.key}"):
                self._client.transact_write_items(TransactItems=[self._withdrawal(before), claim, count])  # type: ignore[list-item]
        except Conflict:
            return False
        return True

    def _withdrawal(self, before: LabelState) -> dict[str, Any]:
        key = {"key": before.key, "annotation_id": annotation_id(before.etag)}
        return {
            "Update": {
                "TableName": self._annotations,
                "Key": dump_item({**key}),
                "UpdateExpression": "SET #problem = :drawn",
                "ConditionExpression": f"attribute_exists(#key) AND {_NOT_DRAWN}",
                "ExpressionAttributeNames": {"#problem": "problem", "#key": "key"},
                "ExpressionAttributeValues": dump_item({":drawn": DRAWN}),
            }
        }

    def _claim(self, pick: Pick, before: LabelState, round_number: int, until: float) -> dict[str, Any]:
        values: dict[str, Value | None] = {
            "state": State.CLAIMED,
            "revision": before.revision + 1,
            "claim_until": until,
            **picked(pick, round_number),
        }
        update = update_expression([name for name, value in values.items() if value is not None], _LABEL)
        condition, given = unchanged(before)
        return {
            "Update": {
                "TableName": self._pool,
                "Key": dump_item({"key": pick.key}),
                "UpdateExpression": update,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": names_of(update + condition),
                "ExpressionAttributeValues": dump_item(
                    given | {f":set_{name}": value for name, value in values.items()}
                ),
            }
        }

    def confirmations(self) -> Iterator[Confirmation]:
        """Yield each imported label that was drawn for people to confirm, with their answer so far."""
        drawn = query(
            self._client, self._annotations, "by_problem", "#problem = :drawn", {":drawn": DRAWN}, limit=_PAGE
        )
        while page := list(islice(drawn, _PAGE)):
            states = self.states([text(item, "key") for item in page])
            for item in page:
                stored = self._stored(item)
                state = states.get(stored.key)
                same = state is not None and state.etag == stored.etag and state.annotators
                yield Confirmation(stored.key, stored.label or "", state.label if state and same else None)

    def _stored(self, entry: Item) -> Annotation:
        key = {name: entry[name] for name in ("key", "annotation_id")}
        with translated("reading an imported label"):
            return annotation(self._client.get_item(TableName=self._annotations, Key=key).get("Item") or key)
