"""What the view Watch shows: records of accuracy, drift, jobs and messages; the rest from the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from octospoon.domain.monitoring.drift import FALSE_ALARMS, TESTS
from octospoon.domain.pool.images import State
from octospoon.domain.pool.keys import image_id
from octospoon.ui.snapshot import STATES
from octospoon.usecases.decisions import newest_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.ui.backend import Backend
    from octospoon.ui.snapshot import Snapshot

JOBS = 60
"""Newest training jobs that are shown; each costs one read."""
QUARANTINED = 60
"""Images in quarantine that are shown."""


def records(backend: Backend) -> dict[str, Any]:
    """Return what is read from records, without any scan of the pool.

    Each part that cannot be read is ``{"error": sentence}``, so that the others are shown.
    """
    parts: dict[str, Callable[[], Any]] = {
        "observed": lambda: _observed(backend),
        "jobs": lambda: _jobs(backend),
        "dead_letters": backend.dead_letters,
    }
    return {name: _part(read, backend.sentence) for name, read in parts.items()}


def _part(read: Callable[[], Any], sentence: Callable[[BaseException], str]) -> Any:  # noqa: ANN401 - JSON
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - the page shows the sentence in the place of this part
        return {"error": sentence(error)}


def _observed(backend: Backend) -> dict[str, Any]:
    seen = backend.storage.observations.read()
    return {
        "version": seen.version,
        "metric": backend.storage.task_type.evaluator.metric_name,
        "days": msgspec.to_builtins(seen.history),
        "judged_until": seen.judged_until,
        "level": seen.finding.level if seen.finding else None,
        "images": [
            {
                "key": example.key,
                "etag": example.etag,
                "id": image_id(example.key, example.etag),
                "score": example.score,
            }
            for example in seen.drifted
        ],
        "suspected_below": FALSE_ALARMS / TESTS,
        "confirmed_below": FALSE_ALARMS,
    }


def _jobs(backend: Backend) -> dict[str, Any]:
    state = backend.storage.control.state()
    return {
        "number": state.jobs,
        "job_id": state.job_id,
        "status": state.status,
        "reason": state.reason,
        "begun_at": state.begun_at or None,
        "new_labels": state.new_labels,
        "requested": state.requested,
        "newest": msgspec.to_builtins(newest_jobs(backend.storage.history, state.jobs, JOBS)),
    }


def of_pool(snapshot: Snapshot | None) -> dict[str, Any]:
    """Return uploads by day and the quarantine, from the snapshot of the pool; nothing before the first.

    Of a pool that is larger than the snapshot, the numbers of a day are estimates from its uniform sample.
    """
    if snapshot is None:
        return {"read_at": None}
    shown, total = len(snapshot.keys), int(snapshot.facts["total"])
    days, numbers = np.unique(snapshot.columns["day"], return_counts=True)
    scale = total / shown if shown else 1.0
    uploads = [
        {"day": day, "images": round(number * scale)}
        for day, number in zip(days.tolist(), numbers.tolist(), strict=True)
    ]
    return {
        "read_at": snapshot.facts["read_at"],
        "total": total,
        "sampled": shown < total,
        "uploads": [day for day in uploads if day["day"] >= 0],
        "unknown_day": sum(day["images"] for day in uploads if day["day"] < 0),
        "quarantine": _quarantine(snapshot),
    }


def _quarantine(snapshot: Snapshot) -> dict[str, Any]:
    names, reason = snapshot.facts["reasons"], snapshot.columns["reason"]
    held = np.flatnonzero(snapshot.columns["state"] == STATES.index(State.QUARANTINED))
    kinds, numbers = np.unique(reason[held], return_counts=True)
    reasons = [
        {"reason": names[kind] if kind >= 0 else "unknown", "images": number}
        for kind, number in zip(kinds.tolist(), numbers.tolist(), strict=True)
    ]
    newest = held[np.argsort(-snapshot.columns["day"][held], kind="stable")][:QUARANTINED]
    return {
        "total": int(snapshot.facts["counts"][State.QUARANTINED]),
        "reasons": sorted(reasons, key=lambda count: -int(count["images"])),
        "images": [
            {
                "key": snapshot.keys[at],
                "id": image_id(snapshot.keys[at], snapshot.etags[at]),
                "reason": names[reason[at]] if reason[at] >= 0 else "unknown",
            }
            for at in newest.tolist()
        ],
    }


def drifted(document: dict[str, Any] | None) -> Sequence[tuple[str, str]]:
    """Return key and etag of the drifted images of a document, which the page may then show."""
    images = document["observed"].get("images", ()) if document else ()
    return [(image["key"], image["etag"]) for image in images]
