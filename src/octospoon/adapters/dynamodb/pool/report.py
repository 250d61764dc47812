"""Reads of the whole pool, for people."""

from __future__ import annotations

import itertools
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import (
    Item,
    Value,
    dump_item,
    flag,
    integer,
    names_of,
    number,
    text,
    unpack_prediction,
)
from octospoon.adapters.dynamodb.labelled import ATTRIBUTES, labelled_image
from octospoon.domain.pool.images import RETIRED, UNLABELLED, ImageRef, PoolImage, State, StoredPrediction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.domain.labelling.tasks import LabelledImage

_WHOLE = ("probabilities", "boxes")
_PREDICTED = ("key", "etag", "state", "model_version", "top_class", "confidence", "scored_at", "label")


_MAPPED = (
    *("key", "etag", "state", "model_version", "backbone", "embedding", "top_class", "confidence", "label"),
    *("round", "strategy", "audit", "arrival", "reason", "boxes"),
)


class DynamoPoolReport:
    """Implements `octospoon.ports.pool.PoolReport`.

    Args:
        client: of DynamoDB.
        table: name of the pool table.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def counts(self) -> dict[State, int]:
        """Count the images by state."""
        states = Counter(text(item, "state") for item in self._scan("#state", None))
        return {state: states.get(state, 0) for state in State}

    def quarantined(self, limit: int) -> list[tuple[str, str, str]]:
        """Return (key, reason, detail) of up to `limit` images in quarantine."""
        items = self._scan("#key, #reason, #detail", ("#state = :state", {":state": State.QUARANTINED}))
        return [
            (text(item, "key"), text(item, "reason"), text(item, "detail"))
            for item in itertools.islice(items, limit)
        ]

    def of_others(self, backbone: str, generation: int = 0) -> Iterator[ImageRef]:
        """Yield the images that a model must have read again, the newest uploads first."""
        # the filter keeps what is up to date from travelling; a contract test holds it to the rule in Python
        states = {f":{state}": state for state in UNLABELLED}
        condition = (
            f"#state IN ({', '.join(states)}) AND ( #backbone <> :backbone OR #generation < :generation )"
        )
        given: dict[str, Value] = {**states, ":backbone": backbone, ":generation": generation}
        uploads = [
            (
                text(item, "arrival").partition("/")[0],
                ImageRef(
                    text(item, "key"), text(item, "etag"), text(item, "sequencer"), integer(item, "size")
                ),
            )
            for item in self._scan("#key, #etag, #sequencer, #size, #arrival", (condition, given))
        ]
        uploads.sort(key=itemgetter(0), reverse=True)
        yield from (image for _, image in uploads)

    def labelled(self) -> Iterator[LabelledImage]:
        """Yield every labelled image, in any order."""
        chosen = ", ".join(f"#{name}" for name in ATTRIBUTES)
        given: dict[str, Value] = {":state": State.LABELLED}
        for item in self._scan(chosen, ("#state = :state", given), consistent=True):
            yield labelled_image(item)

    def predictions(self, *, probabilities: bool = False) -> Iterator[StoredPrediction]:
        """Yield the stored prediction of every image outside quarantine, in any order."""
        given: dict[str, Value] = {":state": State.QUARANTINED}
        names = (*_PREDICTED, *_WHOLE) if probabilities else _PREDICTED
        chosen = ", ".join(f"#{name}" for name in names)
        for item in self._scan(chosen, ("#state <> :state", given)):
            yield StoredPrediction(
                text(item, "key"),
                text(item, "etag"),
                State(text(item, "state")),
                integer(item, "model_version"),
                integer(item, "top_class") if "top_class" in item else None,
                number(item, "confidence"),
                number(item, "scored_at"),
                text(item, "label") if "label" in item else None,
                unpack_prediction(item),
            )

    def images(self) -> Iterator[PoolImage]:
        """Yield every image with its embedding, in any order."""
        return map(_mapped, self._scan(", ".join(f"#{name}" for name in _MAPPED), None))

    def _scan(
        self, projection: str, filtered: tuple[str, dict[str, Value]] | None, *, consistent: bool = False
    ) -> Iterator[Item]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": consistent,
            "ProjectionExpression": projection,
            "ExpressionAttributeNames": names_of(f"{projection} {filtered[0] if filtered else ''}"),
        }
        if filtered:
            request |= {
                "FilterExpression": filtered[0],
                "ExpressionAttributeValues": dump_item(filtered[1]),
            }
        with translated("reading the pool"):
            for page in self._client.get_paginator("scan").paginate(**request):
                yield from page["Items"]


def _mapped(item: Item) -> PoolImage:
    state = State(text(item, "state"))
    quarantined, reason = state is State.QUARANTINED, text(item, "reason")
    known = "embedding" in item and (not quarantined or reason == RETIRED)
    return PoolImage(
        key=text(item, "key"),
        etag=text(item, "etag"),
        state=state,
        model_version=integer(item, "model_version"),
        backbone=text(item, "backbone") if known else "",
        embedding=np.frombuffer(item["embedding"]["B"], "<f2") if known else None,
        top_class=integer(item, "top_class") if "top_class" in item else None,
        confidence=number(item, "confidence"),
        label=text(item, "label") if state is State.LABELLED else None,
        round_number=integer(item, "round"),
        strategy=text(item, "strategy"),
        audit=flag(item, "audit"),
        arrived=text(item, "arrival").partition("/")[0],
        reason=reason if quarantined else "",
        boxes=item["boxes"]["B"] if "boxes" in item and not quarantined else None,
    )
