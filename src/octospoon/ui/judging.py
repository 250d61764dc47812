"""What the view Model shows: the measures of every version, and what the newest ones say of audit images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from octospoon.domain.evaluation import metrics
from octospoon.domain.pool.keys import image_id
from octospoon.domain.task_types.classification.metrics import calibration
from octospoon.usecases.decisions import newest_jobs
from octospoon.usecases.judge_audit import JudgeAudit
from octospoon.usecases.live_evaluation import EvaluateLive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ui.backend import Backend
    from octospoon.usecases.judge_audit import JudgedVersion

JOBS = 60
"""Newest training jobs whose decisions are shown; each costs one read."""
VERSIONS = 5
"""Versions that are compared image by image, the one in service included."""
_LOOKED_AT = 20
"""Versions before the one in service among which comparable ones are looked for."""
_BINS = 10


def mark(backend: Backend) -> str:
    """Return a text that changes with the model in service, and with the state of the training job."""
    pointer, state = backend.storage.champions.pointer(), backend.storage.control.state()
    version = pointer[0].sha256 if pointer else ""
    return f"{version}/{state.jobs}/{state.status}"


def judged(backend: Backend) -> dict[str, Any]:
    """Return the document of the view; it reads the labels once for each measurement, and scans no pool.

    Raises:
        BadModel: the model in service cannot be judged.
    """
    storage = backend.storage
    pointer, state = storage.champions.pointer(), storage.control.state()
    document: dict[str, Any] = {
        "version": None,
        "jobs": msgspec.to_builtins(newest_jobs(storage.history, state.jobs, JOBS)),
        "new_labels": state.new_labels,
    }
    if pointer is None or not pointer[0].head_key:
        return document
    champion = pointer[0]
    evaluate = EvaluateLive(
        storage.pool, storage.labels, storage.training_records, storage.task_type, backend.history
    )
    judge = JudgeAudit(
        storage.pool,
        storage.labels,
        storage.training_records,
        backend.head,
        storage.task_type,
        backend.history,
    )
    images, versions = judge([champion, *_comparable(backend, champion)])
    return {
        **document,
        "version": champion.version,
        "measured": msgspec.to_builtins(evaluate(champion, backend.head(champion))),
        "images": [_image(image, backend) for image in images],
        "versions": [_version(each, backend) for each in versions],
        "pairs": [_pair(versions[i], old) for i in range(len(versions)) for old in versions[i + 1 :]],
        "calibration": _calibration(versions[0]),
        "single": all(len(storage.task_type.labels.classes(image.label)) == 1 for image in images),
    }


def _comparable(backend: Backend, champion: ChampionPointer) -> list[ChampionPointer]:
    """Return the newest other versions with a head over the champion's backbone, newest first."""
    champions = backend.storage.champions
    newest = champions.newest()
    found: list[ChampionPointer] = []
    for version in range(newest, max(-1, newest - _LOOKED_AT), -1):
        pointer = champions.version(version) if version != champion.version else None
        if pointer is not None and pointer.head_key and pointer.backbone == champion.backbone:
            found.append(pointer)
        if len(found) == VERSIONS - 1:
            break
    return found


def _image(image: LabelledImage, backend: Backend) -> dict[str, str]:
    labels = backend.storage.task_type.labels
    return {
        "key": image.key,
        "etag": image.etag,
        "id": image_id(image.key, image.etag),
        "label": labels.shown(image.label, backend.history()),
    }


def _version(version: JudgedVersion, backend: Backend) -> dict[str, Any]:
    labels, history = backend.storage.task_type.labels, backend.history()
    predicted = [labels.shown(label, history) if label else None for label in version.predicted]
    right = [bool(each) if known else None for each, known in zip(version.right, version.judged, strict=True)]
    confidence = [round(each, 5) for each in version.confidence.tolist()]
    return {"version": version.version, "predicted": predicted, "right": right, "confidence": confidence}


def _pair(new: JudgedVersion, old: JudgedVersion) -> dict[str, Any]:
    both = new.judged & old.judged
    after, before = new.right[both], old.right[both]
    interval = metrics.paired_difference(after, before)
    return {
        "new": new.version,
        "old": old.version,
        "images": len(after),
        "gained": int(np.sum(after & ~before)),
        "lost": int(np.sum(~after & before)),
        "low": interval.low,
        "high": interval.high,
    }


def _calibration(version: JudgedVersion) -> list[dict[str, Any]]:
    confidence, right = version.confidence[version.judged], version.right[version.judged]
    bins = calibration(confidence, right, _BINS)
    numbers = zip(bins.count.tolist(), bins.confidence.tolist(), bins.accuracy.tolist(), strict=True)
    return [
        {
            "images": count,
            "confidence": sure,
            "accuracy": share,
            **msgspec.to_builtins(metrics.wilson(round(share * count), count)),
        }
        for count, sure, share in numbers
        if count
    ]


def shown(document: dict[str, Any] | None) -> Sequence[tuple[str, str]]:
    """Return key and etag of the audit images of a document, which the page may then show."""
    return [(each["key"], each["etag"]) for each in (document or {}).get("images", ())]
