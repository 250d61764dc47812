"""The pool table: one item per image, two sparse and sharded indexes over the selectable ones."""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.adapters.dynamodb import partiql as statements
from octospoon.adapters.dynamodb import score_history as past
from octospoon.adapters.dynamodb.indexes import BETWEEN, between, query
from octospoon.adapters.dynamodb.items import (
    Item,
    Value,
    dump_item,
    integer,
    names_of,
    number,
    pack,
    text,
    unpack,
)
from octospoon.adapters.dynamodb.label_counter import NOT_COUNTED
from octospoon.domain.errors import NotConfigured
from octospoon.domain.pool import keys as hashes
from octospoon.domain.pool.images import Candidate, ImageRef, KnownScore, PoolRow, ScoredImage, State
from octospoon.domain.pool.keys import day
from octospoon.domain.uncertainty import priority, uncertainties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.adapters.dynamodb.label_counter import LabelCounter
    from octospoon.domain.labelling.tasks import Pick
    from octospoon.domain.pool.images import Prediction, Uncertainty

LOG = logging.getLogger(__name__)
_BATCH_GET = 100
_SEQUENCER_LENGTH = 32
_ROW = ("key", "etag", "state", "model_version", "backbone", "embedding", "probabilities", "generation")

# an older event replaces nothing, the same bytes only what was refused, and a label goes another way
_REPLACES = (
    "attribute_not_exists(#key) OR (#sequencer <= :sequencer AND #state <> :labelled"
    " AND (#etag <> :etag OR #state = :quarantined))"
)
_SAME_UPLOAD_OR_LATER = "#etag = :etag AND #sequencer <= :sequencer"
_STILL_LABELLED = "#state = :labelled AND #etag = :was_etag AND #sequencer <= :sequencer"
_SAME_BYTES = "#etag = :etag AND #state = :scored AND #generation <= :generation"
_LABELLED_BYTES = "#etag = :etag AND #state = :labelled"
_SAME_BYTES_STATEMENT = '"key"=? AND "etag"=? AND "state"=? AND "generation"<=?'
_CLAIM = "(#state = :scored AND #etag = :etag) OR (#round = :round AND #state IN (:claimed, :exported))"


class DynamoPool:
    """Implements `octospoon.ports.pool.Pool`.

    Args:
        client: of DynamoDB.
        table: name of the pool table.
        strategy: whose priority is stored with every score; matters where scores are written only.
        now: the time, for the record.
        counter: of new labels; needed where scores are written, for labelled images whose bytes change.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        strategy: str = "margin",
        now: Callable[[], float] = time.time,
        counter: LabelCounter | None = None,
    ) -> None:
        self._client = client
        self._counter = counter
        self._table = table
        self._strategy = strategy
        self._now = now

    # -- scores ---------------------------------------------------------------------------------

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        """Write one score unless the row already holds something newer; say whether it was written.

        A new or changed image becomes selectable; a re-delivery of the same bytes changes no state.
        """
        (scores,) = self._whole([ScoredImage(image, prediction)])
        values = self._identity(image, State.SCORED) | scores
        if self._put(values):
            return True
        self.note_upload(image)
        return self._refresh(image.key, image.etag, prediction.generation, scores) or self._supersede(values)

    def note_upload(self, image: ImageRef) -> None:
        """Record a newer upload of the bytes that a row holds, which changes nothing else."""
        sequencer = _padded(image.sequencer)
        values: dict[str, Value | None] = {"sequencer": sequencer, "object_etag": image.object_etag or None}
        remove = () if image.object_etag else ("object_etag",)
        given: dict[str, Value] = {":etag": image.etag, ":sequencer": sequencer}
        self._update(image.key, values, remove, _SAME_UPLOAD_OR_LATER, given)

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        """Write the scores of images that have no row yet, in few calls; return the keys that were written.

        One batch of statements costs a tenth of the processor time of as many conditional writes, and, other
        than a transaction, no more capacity.
        """
        inserts = [
            statements.insert(self._table, self._identity(one.image, State.SCORED) | values)
            for one, values in zip(scored, self._whole(scored), strict=True)
        ]
        said = statements.execute(self._client, inserts)
        return {one.image.key for one, error in zip(scored, said, strict=True) if not error}

    def scored(self, keys: Sequence[str]) -> dict[str, KnownScore]:
        """Return whose scores these images have, as it was a moment ago."""
        wanted = ("key", "etag", "model_version", "backbone", "state", "sequencer", "object_etag")
        return {
            text(item, "key"): KnownScore(
                text(item, "etag"),
                integer(item, "model_version"),
                text(item, "backbone"),
                text(item, "sequencer"),
                text(item, "object_etag"),
            )
            for item in batch_get(self._client, self._table, keys, wanted, consistent=False)
            if text(item, "state") != State.QUARANTINED
        }

    def rescore(self, rows: Sequence[PoolRow], predictions: Sequence[Prediction]) -> set[str]:
        """Replace the scores of selectable images whose bytes are unchanged; return the keys written.

        A batch of statements costs a seventh of the processor time of as many conditional updates. What fails
        for another reason than its condition, such as throttling, is updated alone, with boto3's retries.
        """
        fresh = [
            self._scores(row.key, prediction, doubt)
            for row, prediction, doubt in zip(rows, predictions, _doubts(predictions), strict=True)
        ]
        updates = [
            statements.update(
                self._table,
                values,
                _SAME_BYTES_STATEMENT,
                (row.key, row.etag, State.SCORED, prediction.generation),
            )
            for row, prediction, values in zip(rows, predictions, fresh, strict=True)
        ]
        written = set()
        said = statements.execute(self._client, updates)
        for row, prediction, values, error in zip(rows, predictions, fresh, said, strict=True):
            again = error not in ("", statements.NOT_MET)
            if not error or (again and self._refresh(row.key, row.etag, prediction.generation, values)):
                written.add(row.key)
        return written

    def reembed(self, rows: Sequence[PoolRow]) -> set[str]:
        """Store the embeddings and backbones of labelled images; return the keys written."""
        written = set()
        for row in rows:
            values: dict[str, Value | None] = {"backbone": row.backbone, "embedding": pack(row.embedding)}
            given: dict[str, Value] = {":etag": row.etag, ":labelled": State.LABELLED}
            if self._update(row.key, values, (), _LABELLED_BYTES, given):
                written.add(row.key)
        return written

    def put_quarantine(self, image: ImageRef, reason: str, detail: str) -> bool:
        """Put one upload into quarantine, with the reason, unless a newer upload is there already."""
        told: dict[str, Value | None] = {"reason": reason, "detail": detail[:1000]}
        values = self._identity(image, State.QUARANTINED) | told | {"quarantined_at": self._now()}
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
            "arrival": f"{day(self._now())}/{hashes.shard(image.key):02d}",
        }

    def _whole(self, scored: Sequence[ScoredImage]) -> list[dict[str, Value | None]]:
        doubts = _doubts([one.prediction for one in scored])
        return [
            self._embedding(one.image.key, one.prediction)
            | self._scores(one.image.key, one.prediction, doubt)
            for one, doubt in zip(scored, doubts, strict=True)
        ]

    @staticmethod
    def _embedding(key: str, prediction: Prediction) -> dict[str, Value | None]:
        """Return what depends on the picture and the backbone, and on no head."""
        return {
            "backbone": prediction.backbone,
            "embedding": pack(prediction.embedding),
            "shard": f"{hashes.shard(key):02d}",
            "sampling_key": hashes.sampling_key(key),
        }

    def _scores(self, key: str, prediction: Prediction, doubt: Uncertainty | None) -> dict[str, Value | None]:
        now = self._now()
        slot, entry = past.score_entry(prediction, doubt, now)
        values: dict[str, Value | None] = {
            "scored_at": now,
            "model_version": prediction.model_version,
            "generation": prediction.generation,
            slot: entry,
        }
        if doubt is None:
            return values
        return values | {
            "probabilities": pack(prediction.probabilities),
            "least_confidence": doubt.least_confidence,
            "margin": doubt.margin,
            "entropy": doubt.entropy,
            "confidence": doubt.confidence,
            "top_class": doubt.top_class,
            "priority_shard": f"{hashes.shard(key):02d}",
            "priority": priority(doubt, self._strategy),
        }

    def _put(self, values: dict[str, Value | None]) -> bool:
        given: dict[str, Value | None] = {
            ":etag": values["etag"],
            ":sequencer": values["sequencer"],
            ":labelled": State.LABELLED,
            ":quarantined": State.QUARANTINED,
        }
        # a row of its own is the rule here: new ones are inserted
        held = next(batch_get(self._client, self._table, [str(values["key"])]), None)
        whole = past.with_previous(values, held, self._now())
        with translated(f"writing {values['key']!s}"):
            return if_met(
                lambda: self._client.put_item(
                    TableName=self._table,
                    Item=dump_item(whole),
                    ConditionExpression=_REPLACES,
                    ExpressionAttributeNames=names_of(_REPLACES),
                    ExpressionAttributeValues=dump_item(given),
                )
            )

    def _supersede(self, values: dict[str, Value | None]) -> bool:
        """Replace a labelled image by newer bytes: the label goes, and off the counter if it is there."""
        item = next(batch_get(self._client, self._table, [str(values["key"])]), None)
        if item is None or text(item, "state") != State.LABELLED or text(item, "etag") == values["etag"]:
            return False
        if text(item, "sequencer") > str(values["sequencer"]):
            return False
        if self._counter is None:
            raise NotConfigured("a pool that scores are written to needs the counter of new labels")
        given: dict[str, Value | None] = {
            ":labelled": State.LABELLED,
            ":was_etag": text(item, "etag"),
            ":sequencer": values["sequencer"],
        }
        put = {
            "TableName": self._table,
            "Item": dump_item(past.with_previous(values, item, self._now())),
            "ConditionExpression": _STILL_LABELLED,
            "ExpressionAttributeNames": names_of(_STILL_LABELLED),
            "ExpressionAttributeValues": dump_item(given),
        }
        count, _ = self._counter.change(-1, integer(item, "counted_in", NOT_COUNTED))
        with translated(f"replacing the labelled {values['key']!s}"):
            self._client.transact_write_items(TransactItems=[{"Put": put}, count])  # type: ignore[list-item,typeddict-item]
        LOG.info("new bytes of %s: its label %r is reset", values["key"], text(item, "label"))
        return True

    def _refresh(self, key: str, etag: str, generation: int, values: dict[str, Value | None]) -> bool:
        given: dict[str, Value] = {":etag": etag, ":scored": State.SCORED, ":generation": generation}
        return self._update(key, values, (), _SAME_BYTES, given)

    # -- selection ------------------------------------------------------------------------------

    def top(self, n: int) -> list[Candidate]:
        """Return the n selectable images of highest priority, ties broken by key."""
        shards = [self._by_priority(shard, page=max(8, 2 * n // hashes.SHARDS)) for shard in _shards()]
        merged = heapq.merge(*shards, key=lambda found: (-(found.priority or 0.0), found.key))
        return list(itertools.islice(merged, n))

    def selectable(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        """Page through one shard of the selectable images by sampling key, in (start, end]."""
        if start + hashes.STEP > end:
            return [], None
        given = {":shard": f"{shard:02d}"} | between(start, end)
        found = self._query("by_sampling_key", f"#shard = :shard AND {BETWEEN}", given, limit=limit)
        page = [_candidate(item) for item in itertools.islice(found, limit)]
        return page, page[-1].sampling_key if len(page) == limit else None

    def arrived(self, day: str, limit: int) -> list[str]:
        """Return keys of up to `limit` images uploaded on a day, in whatever state."""
        page = -(-limit // hashes.SHARDS)
        found: list[str] = []
        for shard in _shards():
            given: dict[str, Value] = {":arrival": f"{day}/{shard}"}
            items = self._query("by_arrival", "#arrival = :arrival", given, limit=page)
            found += [text(item, "key") for item in itertools.islice(items, page)]
        return found[:limit]

    def _query(
        self, index: str, condition: str, given: dict[str, Value], *, limit: int, forward: bool = True
    ) -> Iterator[Item]:
        return query(self._client, self._table, index, condition, given, limit=limit, forward=forward)

    def _by_priority(self, shard: str, page: int) -> Iterator[Candidate]:
        """Yield a shard by falling priority, and by key where priorities are equal."""
        items = self._query(
            "by_priority", "#priority_shard = :shard", {":shard": shard}, limit=page, forward=False
        )
        candidates = (_candidate(item) for item in items)
        for _, equals in itertools.groupby(candidates, key=lambda found: found.priority):
            yield from sorted(equals, key=lambda found: found.key)

    # -- rows -----------------------------------------------------------------------------------

    def rows(self, keys: Sequence[str]) -> dict[str, PoolRow]:
        """Return the rows of these images, with embeddings; missing and quarantined ones are left out."""
        items = batch_get(self._client, self._table, keys, _ROW)
        return {text(item, "key"): _row(item) for item in items if text(item, "state") != State.QUARANTINED}

    def claim(self, pick: Pick, round_number: int, until: float) -> bool:
        """Take one image out of the selectable ones for a round; False where somebody else was first."""
        return self._update(
            pick.key,
            {
                "state": State.CLAIMED,
                "round": round_number,
                "strategy": pick.strategy,
                "pick_score": pick.score,
                "pick_rank": pick.rank,
                "draw_probability": pick.draw_probability,
                "audit": pick.audit,
                "blind": pick.blind,
                "claim_until": until,
            },
            ("shard", "priority_shard"),
            _CLAIM,
            {
                ":scored": State.SCORED,
                ":etag": pick.etag,
                ":round": round_number,
                ":claimed": State.CLAIMED,
                ":exported": State.EXPORTED,
            },
        )

    def mark_exported(self, key: str, round_number: int, task_id: int) -> None:
        """Record that the image of this round is with the annotators."""
        self._update(
            key,
            {"state": State.EXPORTED, "task_id": task_id, "exported_at": self._now()},
            ("claim_until",),
            "#round = :round AND #state = :claimed",
            {":round": round_number, ":claimed": State.CLAIMED},
        )

    def _update(
        self,
        key: str,
        values: dict[str, Value | None],
        remove: Sequence[str],
        condition: str,
        given: dict[str, Value],
    ) -> bool:
        update = update_expression([name for name, value in values.items() if value is not None], remove)
        sets = {f":set_{name}": value for name, value in values.items()}
        with translated(f"updating {key}"):
            return if_met(
                lambda: self._client.update_item(
                    TableName=self._table,
                    Key=dump_item({"key": key}),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names_of(update + condition),
                    ExpressionAttributeValues=dump_item(sets | given),
                )
            )

    # -- for people -----------------------------------------------------------------------------

    def counts(self) -> dict[State, int]:
        """Count the images by state (reads the whole pool: for people, not for functions)."""
        found = Counter(text(item, "state") for item in self._scan("#state", None))
        return {state: found.get(state, 0) for state in State}

    def quarantined(self, limit: int) -> list[tuple[str, str, str]]:
        """Return up to `limit` (key, reason, detail) of images in quarantine."""
        items = self._scan("#key, #reason, #detail", ("#state = :state", {":state": State.QUARANTINED}))
        return [
            (text(item, "key"), text(item, "reason"), text(item, "detail"))
            for item in itertools.islice(items, limit)
        ]

    def stale_backbone(self, backbone: str) -> Iterator[ImageRef]:
        """Yield the selectable images whose embedding another backbone made (reads the whole pool)."""
        condition = "#state = :scored AND #backbone <> :backbone"
        given: dict[str, Value] = {":scored": State.SCORED, ":backbone": backbone}
        for item in self._scan("#key, #etag, #sequencer, #size", (condition, given)):
            yield ImageRef(
                text(item, "key"), text(item, "etag"), text(item, "sequencer"), integer(item, "size")
            )

    def _scan(self, projection: str, filtered: tuple[str, dict[str, Value]] | None) -> Iterator[Item]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "ProjectionExpression": projection,
            "ExpressionAttributeNames": names_of(f"{projection} {filtered[0] if filtered else ''}"),
        }
        if filtered:
            request |= {
                "FilterExpression": filtered[0],
                "ExpressionAttributeValues": dump_item(filtered[1]),
            }
        for page in self._client.get_paginator("scan").paginate(**request):
            yield from page["Items"]


def batch_get(
    client: DynamoDBClient,
    table: str,
    keys: Sequence[str],
    attributes: Sequence[str] = (),
    *,
    consistent: bool = True,
) -> Iterator[Item]:
    """Yield the items of these keys, whole or some attributes; none for missing ones."""
    unique = list(dict.fromkeys(keys))
    projection: dict[str, Any] = {}
    if attributes:
        projection["ProjectionExpression"] = ", ".join(f"#{name}" for name in attributes)
        projection["ExpressionAttributeNames"] = {f"#{name}": name for name in attributes}
    for start in range(0, len(unique), _BATCH_GET):
        wanted: dict[str, Any] = {
            table: {
                "Keys": [dump_item({"key": key}) for key in unique[start : start + _BATCH_GET]],
                "ConsistentRead": consistent,
                **projection,
            }
        }
        while wanted:
            with translated("reading rows"):
                answer = client.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(table, [])
            wanted = answer.get("UnprocessedKeys") or {}


def _doubts(predictions: Sequence[Prediction]) -> list[Uncertainty | None]:
    """Return how unsure each prediction is; None where it knows no classes.

    Those of as many classes are measured together, which takes a fraction of the time of one by one.
    """
    doubts: list[Uncertainty | None] = [None] * len(predictions)
    alike: defaultdict[int, list[int]] = defaultdict(list)
    rows = {i: one.probabilities for i, one in enumerate(predictions) if one.probabilities is not None}
    for i, row in rows.items():
        alike[len(row)].append(i)
    for places in alike.values():
        for i, doubt in zip(places, uncertainties(np.stack([rows[i] for i in places])), strict=True):
            doubts[i] = doubt
    return doubts


def update_expression(names: Sequence[str], remove: Sequence[str]) -> str:
    """Return ``SET #a = :set_a … REMOVE #b …`` for these attributes."""
    update = "SET " + ", ".join(f"#{name} = :set_{name}" for name in names)
    return update + (" REMOVE " + ", ".join(f"#{name}" for name in remove) if remove else "") + " "


def if_met(call: Callable[[], object]) -> bool:
    """Make a conditional call; False where its condition is not met."""
    try:
        call()
    except ClientError as error:
        if code(error) == "ConditionalCheckFailedException":
            return False
        raise
    return True


def _shards() -> list[str]:
    return [f"{shard:02d}" for shard in range(hashes.SHARDS)]


def _padded(sequencer: str) -> str:
    # S3: compare sequencers as strings, the shorter one padded with zeros on the right
    return sequencer.ljust(_SEQUENCER_LENGTH, "0")


def _candidate(item: Item) -> Candidate:
    return Candidate(
        key=text(item, "key"),
        etag=text(item, "etag"),
        priority=number(item, "priority") if "priority" in item else None,
        sampling_key=number(item, "sampling_key"),
    )


def _row(item: Item) -> PoolRow:
    embedding = unpack(item, "embedding")
    assert embedding is not None, "every row outside quarantine has an embedding"  # noqa: S101
    return PoolRow(
        key=text(item, "key"),
        etag=text(item, "etag"),
        state=State(text(item, "state")),
        model_version=integer(item, "model_version"),
        backbone=text(item, "backbone"),
        embedding=embedding,
        probabilities=unpack(item, "probabilities"),
        generation=integer(item, "generation"),
    )
