"""The annotations table, and the labels that follow from it in the pool table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws_errors import translated
from octospoon.adapters.dynamodb_items import Item, Value, dump_item, flag, integer, number, text
from octospoon.adapters.dynamodb_pool import batch_get, if_met, names_of, update_expression
from octospoon.domain.entities import Annotation, LabelledImage, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

# deletion is the last word on an annotation, whenever its older versions arrive
_NEWER = (
    "attribute_not_exists(#key) OR (#deleted = :alive AND (#updated_at < :updated_at OR :deleted = :gone))"
)


class DynamoLabels:
    """Implements `octospoon.ports.Labels`."""

    def __init__(
        self, client: DynamoDBClient, pool: str, annotations: str, control: str, now: Callable[[], float]
    ) -> None:
        self._client = client
        self._pool = pool
        self._annotations = annotations
        self._control = control
        self._now = now

    def upsert(self, annotation: Annotation) -> bool:
        """Store an annotation unless a newer version of it is stored; say whether anything changed."""
        values = {name: getattr(annotation, name) for name in Annotation.__slots__}
        given: dict[str, Value] = {
            ":updated_at": annotation.updated_at,
            ":deleted": annotation.deleted,
            ":gone": True,
            ":alive": False,
        }
        with translated(f"storing annotation {annotation.annotation_id}"):
            return if_met(
                lambda: self._client.put_item(
                    TableName=self._annotations,
                    Item=dump_item(values),
                    ConditionExpression=_NEWER,
                    ExpressionAttributeNames=names_of(_NEWER),
                    ExpressionAttributeValues=dump_item(given),
                )
            )

    def find(self, number: int) -> Annotation | None:
        """Return the newest stored version of Label Studio's annotation `number`."""
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
        found = [_annotation(item) for item in items if item]
        return max(found, key=lambda one: one.updated_at, default=None)

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
            return [_annotation(item) for page in pages for item in page["Items"]]

    def settle(self, key: str, label: str | None, agreement: float, annotators: int) -> int:
        """Make this the image's label and adjust the counter of new labels, in one transaction.

        Returns:
            +1 if the image became labelled, -1 if it ceased to be, 0 otherwise.

        Raises:
            Conflict: the image changed meanwhile; read again and retry.
        """
        item = next(batch_get(self._client, self._pool, [key]), None)
        if item is None or text(item, "state") == State.QUARANTINED:
            return 0
        delta = int(label is not None) - int(text(item, "state") == State.LABELLED)
        if delta == 0 and (label is None or _same(item, label, agreement, annotators)):
            return 0
        values: dict[str, Value | None] = {
            "state": State.EXPORTED if label is None else State.LABELLED,
            "label": label,
            "agreement": None if label is None else agreement,
            "annotators": None if label is None else annotators,
            "labelled_at": None if label is None else self._now(),
        }
        with translated(f"labelling {key}"):
            self._client.transact_write_items(
                TransactItems=[self._label(item, values)] + ([self._count(delta)] if delta else [])
            )
        return delta

    def _label(self, item: Item, values: dict[str, Value | None]) -> Any:  # noqa: ANN401 - boto3's union
        gone = [name for name, value in values.items() if value is None]
        update = update_expression(
            [name for name, value in values.items() if value is not None],
            ["shard", "priority_shard", "claim_until", *gone],
        )
        condition = "#state = :was_state AND #etag = :etag"
        given: dict[str, Value | None] = {f":set_{name}": value for name, value in values.items()}
        given |= {":was_state": text(item, "state"), ":etag": text(item, "etag")}
        if "label" in item:
            condition += " AND #label = :was_label"
            given[":was_label"] = text(item, "label")
        return {
            "Update": {
                "TableName": self._pool,
                "Key": {"key": item["key"]},
                "UpdateExpression": update,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": names_of(update + condition),
                "ExpressionAttributeValues": dump_item(given),
            }
        }

    def _count(self, delta: int) -> Any:  # noqa: ANN401 - boto3's union
        return {
            "Update": {
                "TableName": self._control,
                "Key": dump_item({"id": "training"}),
                "UpdateExpression": "ADD new_labels :delta",
                "ExpressionAttributeValues": dump_item({":delta": delta}),
            }
        }

    def labelled(self) -> Iterator[LabelledImage]:
        """Yield every labelled image, ordered by key."""
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
        found = [_labelled(item) for item in items if text(item, "state") == State.LABELLED]
        yield from sorted(found, key=lambda image: image.key)


def _same(item: Item, label: str, agreement: float, annotators: int) -> bool:
    stored = (text(item, "label"), number(item, "agreement"), integer(item, "annotators"))
    return stored == (label, agreement, annotators)


def _annotation(item: Item) -> Annotation:
    return Annotation(
        key=text(item, "key"),
        etag=text(item, "etag"),
        annotation_id=text(item, "annotation_id"),
        number=integer(item, "number"),
        updated_at=text(item, "updated_at"),
        annotator=text(item, "annotator"),
        label=text(item, "label") if "label" in item else None,
        deleted=flag(item, "deleted"),
    )


def _labelled(item: Item) -> LabelledImage:
    return LabelledImage(
        key=text(item, "key"),
        etag=text(item, "etag"),
        label=text(item, "label"),
        agreement=number(item, "agreement"),
        annotators=integer(item, "annotators"),
        audit=flag(item, "audit"),
        strategy=text(item, "strategy"),
        draw_probability=number(item, "draw_probability") if "draw_probability" in item else None,
        round_number=integer(item, "round"),
        arrived=text(item, "arrival").partition("/")[0],
    )
