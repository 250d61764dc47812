"""The annotations table, and the labels that follow from it in the pool table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.annotation_items import annotation, annotation_item
from octospoon.adapters.dynamodb.control.classes import DynamoClassRecord
from octospoon.adapters.dynamodb.items import Value, dump_item, names_of, text
from octospoon.adapters.dynamodb.label_counter import LabelCounter
from octospoon.adapters.dynamodb.label_update import label_state, label_update
from octospoon.adapters.dynamodb.labelled import labelled_image
from octospoon.adapters.dynamodb.requests import batch_get, if_met
from octospoon.adapters.dynamodb.uncounted_answers import uncounted_answers
from octospoon.domain.pool.images import State
from octospoon.domain.task_types.labelled import labelled_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.adapters.dynamodb.control.table import ControlTable
    from octospoon.domain.labelling.answers import UncountedAnswers
    from octospoon.domain.labelling.consensus import Consensus
    from octospoon.domain.labelling.tasks import Annotation, LabelledImage, LabelState
    from octospoon.domain.task_types.task_type import StoredLabels

# a deletion is final, even if older versions of the annotation arrive after it
_NEWER = (
    "attribute_not_exists(#key) OR (#deleted = :alive AND (#updated_at < :updated_at OR :deleted = :gone))"
)
_THIS_VERSION = "#updated_at = :was_updated_at AND #deleted = :was_deleted"


class DynamoLabels:
    """Implements `octospoon.ports.labelling.Labels`."""

    def __init__(
        self,
        client: DynamoDBClient,
        pool: str,
        annotations: str,
        control: ControlTable,
        meaning: StoredLabels,
        now: Callable[[], float],
    ) -> None:
        self._client = client
        self._pool = pool
        self._annotations = annotations
        self._counter = LabelCounter(client, control.table)
        self._classes = DynamoClassRecord(control)
        self._meaning = meaning
        self._now = now

    def upsert(self, annotation: Annotation) -> bool:
        """Store an annotation unless a newer version of it is stored; return True if anything changed."""
        given: dict[str, Value] = {
            ":updated_at": annotation.updated_at,
            ":deleted": annotation.deleted,
            ":gone": True,
            ":alive": False,
        }
        return self._put(annotation, _NEWER, given)

    def replace(self, before: Annotation, annotation: Annotation) -> bool:
        """Replace the stored version `before`; return False if the stored version has changed."""
        given: dict[str, Value] = {
            ":was_updated_at": before.updated_at,
            ":was_deleted": before.deleted,
        }
        return self._put(annotation, _THIS_VERSION, given)

    def _put(self, annotation: Annotation, condition: str, given: dict[str, Value]) -> bool:
        with translated(f"storing annotation {annotation.annotation_id}"):
            return if_met(
                lambda: self._client.put_item(
                    TableName=self._annotations,
                    Item=annotation_item(annotation),
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names_of(condition),
                    ExpressionAttributeValues=dump_item(given),
                )
            )

    def find(self, number: int, project: str) -> Annotation | None:
        """Return the newest stored version of annotation `number` of a project."""
        with translated(f"looking up annotation {number}"):
            answer = self._client.query(
                TableName=self._annotations,
                IndexName="by_number",
                KeyConditionExpression="#number = :number",
                ExpressionAttributeNames={"#number": "number"},
                ExpressionAttributeValues=dump_item({":number": number}),
            )
            keys = [{name: item[name] for name in ("key", "annotation_id")} for item in answer["Items"]]
            items = [self._client.get_item(TableName=self._annotations, Key=key).get("Item") for key in keys]
        annotations = [annotation(item) for item in items if item]
        # Label Studio may reuse the number of a deleted annotation for a new one
        return max(
            (annotation for annotation in annotations if annotation.project == project),
            key=lambda annotation: (not annotation.deleted, annotation.updated_at),
            default=None,
        )

    def of(self, key: str) -> list[Annotation]:
        """Return every stored annotation of an image, deleted ones included."""
        request: dict[str, Any] = {
            "TableName": self._annotations,
            "KeyConditionExpression": "#key = :key",
            "ExpressionAttributeNames": {"#key": "key"},
            "ExpressionAttributeValues": dump_item({":key": key}),
            "ConsistentRead": True,
        }
        with translated(f"reading the annotations of {key}"):
            pages = self._client.get_paginator("query").paginate(**request)
            return [annotation(item) for page in pages for item in page["Items"]]

    def keys(self, after: str, limit: int) -> tuple[list[str], str]:
        """Return a page of the keys of images with stored annotations, and the position where it ends."""
        request: dict[str, Any] = {
            "TableName": self._annotations,
            "ProjectionExpression": "#key, #annotation_id",
            "ExpressionAttributeNames": {"#key": "key", "#annotation_id": "annotation_id"},
            "ConsistentRead": True,
            "Limit": limit,
        }
        if after:
            key, _, annotation_id = after.rpartition("\x1f")
            request["ExclusiveStartKey"] = dump_item({"key": key, "annotation_id": annotation_id})
        with translated("reading the annotations"):
            answer = self._client.scan(**request)
        last = answer.get("LastEvaluatedKey") or {}
        end = f"{text(last, 'key')}\x1f{text(last, 'annotation_id')}" if last else ""
        return list(dict.fromkeys(text(item, "key") for item in answer["Items"])), end

    def label_state(self, key: str) -> LabelState | None:
        """Return the state of an image's label, or None if the image is missing or in quarantine."""
        item = next(batch_get(self._client, self._pool, [key]), None)
        if item is None or text(item, "state") == State.QUARANTINED:
            return None
        return label_state(item)

    def resolve_label(self, before: LabelState, agreed: Consensus) -> int:
        """Store the agreed label, or remove it, and adjust the counter of new labels in one transaction.

        Returns:
            +1 if the image became labelled, -1 if it lost its label, 0 otherwise.

        Raises:
            Conflict: the image has changed since `before` was read; read it again and retry.
        """
        labelled, label = before.state is State.LABELLED, agreed.label
        delta = int(label is not None) - int(labelled)
        same = (before.label, before.agreement, before.annotators) == (
            label,
            agreed.agreement,
            agreed.annotators,
        )
        if delta == 0 and (label is None or same):
            return 0
        counted_in, writes = before.counted_in, []
        if delta:
            count, counted_in = self._counter.change(delta, before.counted_in)
            writes = [count]
        with translated(f"labelling {before.key}"):
            self._client.transact_write_items(
                TransactItems=[label_update(self._pool, before, agreed, counted_in, self._now()), *writes]  # type: ignore[list-item]
            )
        return delta

    def uncounted(self, examples: int) -> UncountedAnswers:
        """Count the answers that yield no label, by problem, with up to `examples` answers of each."""
        return uncounted_answers(self._client, self._pool, self._annotations, examples)

    def labelled(self) -> Iterator[LabelledImage]:
        """Yield every labelled image with its class now, ordered by key; none of a retired class."""
        keys: set[str] = set()
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._annotations,
            ProjectionExpression="#key",
            ExpressionAttributeNames={"#key": "key"},
            ConsistentRead=True,
        )
        with translated("reading the annotations"):
            for page in pages:
                keys.update(text(item, "key") for item in page["Items"])
        items = batch_get(self._client, self._pool, sorted(keys))
        images = [labelled_image(item) for item in items if text(item, "state") == State.LABELLED]
        yield from labelled_now(
            sorted(images, key=lambda image: image.key), self._meaning, self._classes.read()
        )
