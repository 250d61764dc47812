"""The history in a row of the pool: the newest scores of its bytes, and its previous uploads.

Both are bounded, and both change in the same write as the row, without another table or call. The attribute
of a score is named by the pointer's generation modulo SCORES. So a write need not know the other scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.dynamodb.items import Item, Value, flag, integer, number, text
from octospoon.domain.pool.images import State
from octospoon.domain.pool.score_history import SCORES, UPLOADS, PreviousPick, PreviousUpload, Score, returned

if TYPE_CHECKING:
    from octospoon.domain.pool.images import Prediction, Uncertainty

_SCORE = "score_"


def score_entry(prediction: Prediction, doubt: Uncertainty | None, now: float) -> tuple[str, str]:
    """Return the attribute of a score, and its value: generation, version, epoch seconds, class, confidence.

    Class and confidence are missing if the model has no classes.
    """
    prediction_text = f" {doubt.top_class} {doubt.confidence:.4f}" if doubt else ""
    name = f"{_SCORE}{prediction.generation % SCORES:02d}"
    return name, f"{prediction.generation} {prediction.model_version} {now:.3f}{prediction_text}"


def scores(item: Item) -> tuple[Score, ...]:
    """Return the scores in a row, oldest first."""
    kept = [_score(text(item, name)) for name in item if name.startswith(_SCORE)]
    return tuple(sorted(kept, key=lambda score: (score.generation, score.at)))


def _score(entry: str) -> Score:
    generation, version, at, *predicted = entry.split()
    top, confidence = (int(predicted[0]), float(predicted[1])) if predicted else (None, None)
    return Score(float(at), int(version), int(generation), top, confidence)


def with_previous(values: dict[str, Value | None], held: Item | None, now: float) -> dict[str, Value | None]:
    """Return the attributes of a new upload, with the row that it replaces as a previous upload."""
    if held is None:
        return values
    kept = (*previous_uploads(held), _as_previous(held, now))
    back = returned(kept, str(values["etag"])) if values["state"] == State.SCORED else None
    picked = _as_picked(back) if back else {}
    return values | picked | {"previous_uploads": msgspec.json.encode(kept[-UPLOADS:]).decode()}


def _as_picked(upload: PreviousUpload) -> dict[str, Value | None]:
    """Return how these bytes were chosen before: when they return, their old label counts again."""
    if upload.pick is None:
        return {}
    return {
        "round": upload.round_number,
        "task_id": upload.task_id,
        "strategy": upload.pick.strategy,
        "audit": upload.pick.audit,
        "pick_score": upload.pick.score,
        "pick_rank": upload.pick.rank,
        "draw_probability": upload.pick.draw_probability,
        "exported_at": upload.pick.exported_at,
    }


def _previous_pick(item: Item) -> PreviousPick | None:
    if "label" not in item or "strategy" not in item:
        return None
    return PreviousPick(
        text(item, "strategy"),
        flag(item, "audit"),
        _number(item, "pick_score"),
        integer(item, "pick_rank"),
        _number(item, "draw_probability"),
        _number(item, "exported_at"),
    )


def _number(item: Item, name: str) -> float | None:
    return number(item, name) if name in item else None


def previous_uploads(item: Item) -> tuple[PreviousUpload, ...]:
    """Return the previous uploads in a row, oldest first."""
    if "previous_uploads" not in item:
        return ()
    return msgspec.json.decode(text(item, "previous_uploads"), type=tuple[PreviousUpload, ...])


def _as_previous(item: Item, now: float) -> PreviousUpload:
    return PreviousUpload(
        etag=text(item, "etag"),
        sequencer=text(item, "sequencer"),
        state=text(item, "state"),
        replaced_at=now,
        scores=scores(item),
        round_number=integer(item, "round"),
        task_id=integer(item, "task_id"),
        label=text(item, "label") if "label" in item else None,
        reason=text(item, "reason"),
        object_etag=text(item, "object_etag"),
        pick=_previous_pick(item),
    )
