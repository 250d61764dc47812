"""The pool in memory: one table behind all of its ports."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fakes.clock import FakeClock
from octospoon.domain.labelling.reconciliation import PoolEntry
from octospoon.domain.labelling.tasks import LabelledImage, Pick
from octospoon.domain.pool import keys as hashes
from octospoon.domain.pool import stored_boxes
from octospoon.domain.pool.boxes import precedence
from octospoon.domain.pool.images import (
    RETIRED,
    UNLABELLED,
    Candidate,
    ImageRef,
    KnownScore,
    PoolImage,
    PoolRow,
    Prediction,
    ScoredImage,
    State,
    StoredPrediction,
    UnlabelledImage,
)
from octospoon.domain.pool.score_history import SCORES, UPLOADS, PreviousPick, PreviousUpload, Score, returned
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.trace import ImageRecord
from octospoon.domain.uncertainty import priority

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from fakes.training import FakeControl
    from octospoon.domain.pool.images import Uncertainty
    from octospoon.domain.task_types.task_type import TaskType


@cache
def _place(key: str) -> tuple[int, float]:
    return hashes.shard(key), hashes.sampling_key(key)


@dataclass
class Row:
    etag: str
    sequencer: str
    state: State
    prediction: Prediction | None = None
    reason: str = ""
    detail: str = ""
    pick: Pick | None = None
    round_number: int = 0
    task_id: int = 0
    label: str | None = None
    agreement: float = 0.0
    annotators: int = 0
    claim_until: float = 0.0
    revision: int = 0
    counted_in: int = -1
    scores: tuple[Score, ...] = ()
    previous_uploads: tuple[PreviousUpload, ...] = ()
    scored_at: float = 0.0
    exported_at: float | None = None
    labelled_at: float | None = None
    quarantined_at: float | None = None
    arrived: str = ""
    size: int = 0
    object_etag: str = ""


@dataclass
class FakePool:
    strategy: str = "margin_diverse"
    table: dict[str, Row] = field(default_factory=dict)
    control: FakeControl | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    task_type: TaskType = CLASSIFICATION

    def doubt(self, probabilities: npt.NDArray[np.float32]) -> Uncertainty:
        return self.task_type.uncertainties(probabilities[np.newaxis])[0]

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        fresh = Row(image.etag, image.sequencer, State.SCORED, prediction)
        if self._put(image, fresh):
            return True
        self.note_upload(image)
        return self._refresh(image.key, image.etag, prediction, UNLABELLED)

    def refresh_score(self, image: ImageRef, prediction: Prediction) -> bool:
        return self._refresh(image.key, image.etag, prediction, UNLABELLED)

    def note_upload(self, image: ImageRef) -> None:
        row = self.table.get(image.key)
        if row is not None and row.etag == image.etag and row.sequencer <= image.sequencer:
            row.sequencer, row.object_etag = image.sequencer, image.object_etag

    def _put(self, image: ImageRef, fresh: Row) -> bool:
        row = self.table.get(image.key)
        if row is not None:
            if row.sequencer > image.sequencer:
                return False
            if row.etag == image.etag and row.state is not State.QUARANTINED:
                return False
            if row.state is State.LABELLED and self.control:
                self.control.change(-1, row.counted_in)
            earlier = (*row.previous_uploads, self._as_previous(row))
            fresh.previous_uploads = earlier[-UPLOADS:]
            if fresh.state is State.SCORED and (back := returned(earlier, fresh.etag)) and back.pick:
                pick = back.pick
                fresh.pick = Pick(
                    image.key,
                    fresh.etag,
                    pick.audit,
                    pick.strategy,
                    pick.score,
                    pick.rank,
                    pick.draw_probability,
                )
                fresh.round_number, fresh.task_id = back.round_number, back.task_id
                fresh.exported_at = pick.exported_at
        fresh.object_etag = image.object_etag
        fresh.arrived, fresh.size = hashes.day(self.clock.now()), image.size
        self._keep_score(fresh)
        self.table[image.key] = fresh
        return True

    def _as_previous(self, row: Row) -> PreviousUpload:
        return PreviousUpload(
            row.etag,
            row.sequencer,
            row.state,
            self.clock.now(),
            row.scores,
            row.round_number,
            row.task_id,
            row.label,
            row.reason,
            row.object_etag,
            self._previous_pick(row),
        )

    @staticmethod
    def _previous_pick(row: Row) -> PreviousPick | None:
        if row.pick is None or row.label is None:
            return None
        pick = row.pick
        return PreviousPick(
            pick.strategy, pick.audit, pick.score, pick.rank, pick.draw_probability, row.exported_at
        )

    def _keep_score(self, row: Row) -> None:
        if row.prediction is None:
            return
        prediction, row.scored_at = row.prediction, self.clock.now()
        doubt = None if prediction.probabilities is None else self.doubt(prediction.probabilities)
        top, confidence = (doubt.top_class, doubt.confidence) if doubt else (None, None)
        slot = prediction.generation % SCORES
        scores = [score for score in row.scores if score.generation % SCORES != slot]
        scores.append(
            Score(self.clock.now(), prediction.model_version, prediction.generation, top, confidence)
        )
        row.scores = tuple(sorted(scores, key=lambda score: (score.generation, score.at)))

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        new = {image.image.key: image for image in scored if image.image.key not in self.table}
        for image in new.values():
            fresh = Row(image.image.etag, image.image.sequencer, State.SCORED, image.prediction)
            self._put(image.image, fresh)
        return set(new)

    def scored(self, keys: Sequence[str]) -> dict[str, KnownScore]:
        rows = {key: self.table[key] for key in keys if key in self.table}
        return {
            key: KnownScore(
                row.etag,
                row.prediction.generation,
                row.prediction.backbone,
                row.sequencer,
                row.object_etag,
            )
            for key, row in rows.items()
            if row.prediction
        }

    def rescore(self, rows: Sequence[PoolRow], predictions: Sequence[Prediction]) -> set[str]:
        written = set()
        for row, prediction in zip(rows, predictions, strict=True):
            stored = replace(prediction, embedding=row.embedding, backbone=row.backbone)
            if self._refresh(row.key, row.etag, stored):
                written.add(row.key)
        return written

    def reembed(self, rows: Sequence[PoolRow]) -> set[str]:
        written = set()
        for fresh in rows:
            row = self.table.get(fresh.key)
            if row and row.prediction and row.state is State.LABELLED and row.etag == fresh.etag:
                row.prediction = replace(row.prediction, backbone=fresh.backbone, embedding=fresh.embedding)
                written.add(fresh.key)
        return written

    def put_quarantine(self, image: ImageRef, reason: str, detail: str) -> bool:
        fresh = Row(image.etag, image.sequencer, State.QUARANTINED, reason=reason, detail=detail)
        fresh.quarantined_at = self.clock.now()
        if self._put(image, fresh):
            return True
        self.note_upload(image)
        return False

    def _refresh(
        self, key: str, etag: str, prediction: Prediction, states: Sequence[State] = (State.SCORED,)
    ) -> bool:
        row = self.table.get(key)
        if row is None or row.etag != etag or row.state not in states or row.prediction is None:
            return False
        if row.prediction.generation > prediction.generation:
            return False
        row.prediction = prediction
        self._keep_score(row)
        return True

    def _selectable(self, keys: Iterable[str]) -> list[Candidate]:
        rows = ((key, self.table[key]) for key in keys)
        return [
            Candidate(key, row.etag, self._priority(row), hashes.sampling_key(key))
            for key, row in rows
            if row.state is State.SCORED
        ]

    def _priority(self, row: Row) -> float | None:
        if row.prediction is None or row.prediction.probabilities is None:
            return None
        doubt = self.doubt(row.prediction.probabilities)
        return precedence(row.prediction) + priority(doubt, self.strategy)

    def top(self, n: int) -> list[Candidate]:
        ranked = [image for image in self._selectable(self.table) if image.priority is not None]
        return sorted(ranked, key=lambda image: (-(image.priority or 0.0), image.key))[:n]

    def selectable(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        here = [
            key
            for key in self.table
            if hashes.shard(key) == shard and start < hashes.sampling_key(key) <= end
        ]
        candidates = sorted(self._selectable(here), key=lambda candidate: candidate.sampling_key)
        page = candidates[:limit]
        return page, page[-1].sampling_key if len(page) == limit else None

    def rows(self, keys: Sequence[str]) -> dict[str, PoolRow]:
        rows = {}
        for key in keys:
            row = self.table.get(key)
            if row is None or row.prediction is None or row.state is State.QUARANTINED:
                continue
            prediction = row.prediction
            rows[key] = PoolRow(
                key,
                row.etag,
                row.state,
                prediction.model_version,
                prediction.backbone,
                prediction.embedding,
                prediction.probabilities,
                prediction.generation,
            )
        return rows

    def claim(self, pick: Pick, round_number: int, until: float) -> bool:
        row = self.table.get(pick.key)
        if row is None:
            return False
        ours = row.round_number == round_number and row.state in (State.CLAIMED, State.EXPORTED)
        if not ours and not (row.state is State.SCORED and row.etag == pick.etag):
            return False
        row.state, row.pick, row.round_number = State.CLAIMED, pick, round_number
        row.claim_until = until
        return True

    def mark_exported(self, key: str, round_number: int, task_id: int) -> None:
        row = self.table[key]
        row.claim_until = 0.0 if row.state is State.CLAIMED else row.claim_until
        if row.round_number == round_number and row.state is State.CLAIMED:
            row.state, row.task_id, row.exported_at = State.EXPORTED, task_id, self.clock.now()

    def arrived(self, day: str, limit: int) -> list[str]:
        keys = [key for key, row in self.table.items() if row.arrived == day and row.prediction]
        return sorted(keys, key=hashes.sampling_key)[:limit]

    def uploaded(self, shard: int, day: str, start: float, limit: int) -> tuple[list[str], float | None]:
        here = [key for key, row in self.table.items() if row.arrived == day and row.prediction]
        page = self._beyond(here, shard, start)[:limit]
        return page, hashes.sampling_key(page[-1]) if len(page) == limit else None

    def outdated(
        self, shard: int, generation: int, before: float, oldest: str, start: float, limit: int
    ) -> tuple[list[str], float | None]:
        here = [key for key, row in self.table.items() if row.state is State.SCORED]
        here = self._beyond(here, shard, start)
        page = {key: self.table[key] for key in here[:limit]}
        keys = [
            key
            for key, row in page.items()
            if row.prediction and (row.prediction.generation < generation or row.scored_at < before)
            if row.arrived >= oldest
        ]
        return keys, hashes.sampling_key(here[limit - 1]) if len(here) >= limit else None

    @staticmethod
    def _beyond(keys: Iterable[str], shard: int, start: float) -> list[str]:
        places = [(place[1], key) for key in keys if (place := _place(key))[0] == shard and start < place[1]]
        return [key for _, key in sorted(places)]

    def of_others(self, backbone: str, generation: int = 0) -> Iterator[ImageRef]:
        newest_first = sorted(self.table.items(), key=lambda item: item[1].arrived, reverse=True)
        for image in self.unlabelled_images([key for key, _ in newest_first]):
            if image.outdated(backbone, generation):
                yield replace(image.image, object_etag="")

    def unlabelled_images(self, keys: Sequence[str]) -> list[UnlabelledImage]:
        return [
            UnlabelledImage(
                ImageRef(key, row.etag, row.sequencer, row.size, row.object_etag),
                row.prediction.backbone,
                row.prediction.generation,
            )
            for key in keys
            if (row := self.table.get(key)) and row.state in UNLABELLED and row.prediction
        ]

    def labelled(self) -> Iterator[LabelledImage]:
        for key, row in self.table.items():
            if row.state is not State.LABELLED or row.label is None:
                continue
            pick = row.pick
            yield LabelledImage(
                key=key,
                etag=row.etag,
                label=row.label,
                agreement=row.agreement,
                annotators=row.annotators,
                audit=pick.audit if pick else False,
                blind=pick.blind if pick else False,
                strategy=pick.strategy if pick else "",
                draw_probability=pick.draw_probability if pick else None,
                round_number=row.round_number,
                arrived=row.arrived,
            )

    def predictions(self, *, probabilities: bool = False) -> Iterator[StoredPrediction]:
        for key, row in self.table.items():
            if row.state is State.QUARANTINED or row.prediction is None:
                continue
            shares = row.prediction.probabilities
            doubt = None if shares is None else self.doubt(shares)
            yield StoredPrediction(
                key,
                row.etag,
                row.state,
                row.prediction.model_version,
                doubt.top_class if doubt else None,
                doubt.confidence if doubt else 0.0,
                row.scored_at,
                row.label,
                shares if probabilities else None,
            )

    def images(self) -> Iterator[PoolImage]:
        for key, row in self.table.items():
            hidden = row.state is State.QUARANTINED and row.reason != RETIRED
            prediction = None if hidden else row.prediction
            probabilities = prediction.probabilities if prediction else None
            doubt = None if probabilities is None else self.doubt(probabilities)
            pick = row.pick
            yield PoolImage(
                key=key,
                etag=row.etag,
                state=row.state,
                model_version=prediction.model_version if prediction else 0,
                backbone=prediction.backbone if prediction else "",
                embedding=prediction.embedding.astype(np.float16) if prediction else None,
                top_class=doubt.top_class if doubt else None,
                confidence=doubt.confidence if doubt else 0.0,
                label=row.label if row.state is State.LABELLED else None,
                round_number=row.round_number,
                strategy=pick.strategy if pick else "",
                audit=pick.audit if pick else False,
                arrived=row.arrived,
                reason=row.reason if row.state is State.QUARANTINED else "",
                boxes=None
                if probabilities is None or probabilities.ndim == 1
                else stored_boxes.pack(probabilities),
            )

    def counts(self) -> dict[State, int]:
        return {state: sum(row.state is state for row in self.table.values()) for state in State}

    def quarantined(self, limit: int) -> list[tuple[str, str, str]]:
        rows = [(key, row) for key, row in self.table.items() if row.state is State.QUARANTINED]
        return [(key, row.reason, row.detail) for key, row in rows[:limit]]


@dataclass
class FakeEntries:
    pool: FakePool

    def entries(self, keys: Sequence[str]) -> dict[str, PoolEntry]:
        return {key: self._entry(key) for key in keys if key in self.pool.table}

    def _entry(self, key: str) -> PoolEntry:
        row = self.pool.table[key]
        return PoolEntry(
            key,
            row.etag,
            row.state,
            row.sequencer,
            row.round_number,
            row.claim_until,
            row.reason,
            row.object_etag,
        )

    def page(self, after: str, limit: int) -> tuple[list[PoolEntry], str]:
        keys = sorted(key for key in self.pool.table if key > after)
        page = [self._entry(key) for key in keys[:limit]]
        return page, page[-1].key if len(keys) > limit else ""

    def adopt(self, entry: PoolEntry, task_id: int) -> bool:
        return self._move(entry, State.EXPORTED, task_id=task_id, exported_at=None)

    def release(self, entry: PoolEntry) -> bool:
        return self._move(entry, State.SCORED, task_id=0, exported_at=None, reason="", detail="")

    def withdraw(self, entry: PoolEntry, reason: str, detail: str) -> bool:
        return self._move(entry, State.QUARANTINED, reason=reason, detail=detail)

    def _move(self, entry: PoolEntry, state: State, **values: object) -> bool:
        row = self.pool.table.get(entry.key)
        if row is None or self._entry(entry.key) != entry:
            return False
        row.state, row.claim_until = state, 0.0
        for name, value in values.items():
            setattr(row, name, value)
        return True


@dataclass
class FakeRecords:
    pool: FakePool

    def record(self, key: str) -> ImageRecord | None:
        row = self.pool.table.get(key)
        if row is None:
            return None
        return ImageRecord(
            key,
            row.etag,
            row.sequencer.ljust(32, "0"),
            row.state,
            row.scores,
            row.task_id,
            row.exported_at,
            row.label,
            row.agreement,
            row.annotators,
            row.labelled_at,
            row.reason,
            row.detail,
            row.quarantined_at,
            row.previous_uploads,
            row.object_etag,
        )


@dataclass
class FakeBlindImages:
    """Reads blind images from a pool, or from a given set of keys."""

    pool: FakePool | None = None
    keys: set[str] = field(default_factory=set)

    def among(self, keys: Sequence[str]) -> set[str]:
        rows = self.pool.table if self.pool else {}
        blind = {key for key, row in rows.items() if row.pick and row.pick.blind}
        return (blind | self.keys) & set(keys)
