"""What the views Batch and Image show, as data for the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from octospoon.domain.batch.class_share import NEW_CLASS
from octospoon.domain.batch.drift_share import DRIFT
from octospoon.domain.labelling.manual import MANUAL
from octospoon.domain.pool.images import PoolRow, State
from octospoon.domain.pool.keys import image_id
from octospoon.domain.trace.timeline import timeline
from octospoon.ui.neighbours import NEAR_COPY, distances, similar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from octospoon.domain.labelling.reconciliation import PoolEntry
    from octospoon.domain.labelling.tasks import Pick, Round
    from octospoon.domain.trace import Trace
    from octospoon.ui.boxes import Guess
    from octospoon.ui.snapshot import Snapshot

NEAREST_LABELLED = 3
NEIGHBOURS = 12
_LOOKED_AT = 40
_ANSWERED = (State.LABELLED, State.QUARANTINED)


@dataclass(frozen=True, slots=True)
class Shown:
    """An image of a gallery that is not its subject: key, id, state, and label or predicted class."""

    key: str
    id: str
    state: str
    label: str | None
    predicted: str | None
    confidence: float | None
    distance: float | None = None
    near_copy: bool = False


def shown(snapshot: Snapshot, at: int, distance: float | None = None) -> Shown:
    """Return the image at a position of the snapshot.

    Args:
        snapshot: of the pool.
        at: position.
        distance: cosine distance to the subject; None if it was not computed.
    """
    names, columns = snapshot.facts["classes"], snapshot.columns
    predicted, label = int(columns["predicted"][at]), int(columns["label"][at])
    return Shown(
        key=snapshot.keys[at],
        id=image_id(snapshot.keys[at], snapshot.etags[at]),
        state=list(State)[int(columns["state"][at])],
        label=names[label] if label >= 0 else None,
        predicted=names[predicted] if predicted >= 0 else None,
        confidence=float(columns["confidence"][at]) if predicted >= 0 else None,
        distance=distance,
        near_copy=distance is not None and distance <= NEAR_COPY,
    )


_CHOSEN_BY = {
    DRIFT: "the drift share, because it differs from the data that the model was trained on",
    NEW_CLASS: "the share of added classes, because it may show one that has few labels",
}


def why(pick: Pick) -> str:
    """Return in words why an image was chosen."""
    if pick.audit:
        return "Drawn uniformly at random for the audit share, on which models are measured."
    if pick.strategy == MANUAL:
        return "A person chose it. It was not drawn at random, and no figure is measured on it."
    if pick.draw_probability is not None:
        return "Drawn uniformly at random for the control share, to compare the strategy with."
    named = _CHOSEN_BY.get(pick.strategy, f"the strategy {pick.strategy}")
    score = "" if pick.score is None else f" Its score is {pick.score:.4g}."
    return f"Chosen by {named}.{score}"


def batch(
    round_: Round,
    rows: Mapping[str, PoolRow],
    entries: Mapping[str, PoolEntry],
    snapshot: Snapshot | None,
    predicted: Callable[[PoolRow], Guess | None],
) -> dict[str, Any]:
    """Return a round as a gallery.

    The prediction of a blind image is left out until it has an answer, so that nobody who labels it sees one.

    Args:
        round_: the round, stored or only previewed.
        rows: of its images, by key.
        entries: the present states of its images, by key.
        snapshot: for the nearest labelled images; None before the first.
        predicted: gives the prediction of a row; None without one.
    """
    known = [rows[pick.key] for pick in round_.picks if pick.key in rows]
    near: dict[str, list[Shown]] = {}
    if snapshot is not None:
        labelled = snapshot.columns["label"] >= 0
        for row, positions in zip(known, similar(snapshot, known, NEAREST_LABELLED, labelled), strict=True):
            near[row.key] = [shown(snapshot, at) for at in positions]

    def card(pick: Pick) -> dict[str, Any]:
        entry, row = entries.get(pick.key), rows.get(pick.key)
        hidden = pick.blind and not (entry and entry.state in _ANSWERED)
        guess = predicted(row) if row and not hidden else None
        return _card(pick, entry.state if entry else None, guess, near.get(pick.key, []))

    return {
        "number": round_.number,
        "created_at": round_.created_at,
        "model_version": round_.model_version,
        "notes": list(round_.notes),
        "images": [card(pick) for pick in round_.picks],
    }


def _card(pick: Pick, state: State | None, guess: Guess | None, near: Sequence[Shown]) -> dict[str, Any]:
    return {
        "key": pick.key,
        "id": image_id(pick.key, pick.etag),
        "rank": pick.rank,
        "state": state,
        "audit": pick.audit,
        "blind": pick.blind,
        "strategy": pick.strategy,
        "score": pick.score,
        "why": why(pick),
        "predicted": guess.text if guess else None,
        "confidence": guess.confidence if guess else None,
        "boxes": guess.boxes if guess else [],
        "nearest": msgspec.to_builtins(near),
    }


def story(trace: Trace) -> dict[str, Any]:
    """Return a story as data, with its events in words."""
    return {**msgspec.to_builtins(trace), "timeline": [event._asdict() for event in timeline(trace)]}


def image(
    trace: Trace,
    row: PoolRow | None,
    read: Callable[[Sequence[str]], Mapping[str, PoolRow]],
    snapshot: Snapshot | None,
) -> dict[str, Any]:
    """Return an image's story, its nearest images and its near-copies.

    Args:
        trace: the story.
        row: of the pool; None in quarantine.
        read: reads rows by key, for exact distances.
        snapshot: to find the nearest images; None before the first.
    """
    etag = next((upload.etag for upload in trace.uploads if upload.image == trace.image), "")
    document = {"trace": story(trace), "id": trace.image, "etag": etag, "nearest": []}
    if row is None or snapshot is None:
        return document
    (positions,) = similar(snapshot, [row], _LOOKED_AT)
    exact = distances(row, read([snapshot.keys[at] for at in positions]))
    near = [shown(snapshot, at, exact[snapshot.keys[at]]) for at in positions if snapshot.keys[at] in exact]
    near.sort(key=lambda neighbour: neighbour.distance or 0.0)
    copies = sum(neighbour.near_copy for neighbour in near)
    document["nearest"] = msgspec.to_builtins(near[: max(NEIGHBOURS, copies)])
    return document
