"""What the view Model shows: the measures of every version, and what the newest ones say of audit images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from octospoon.domain.evaluation import metrics
from octospoon.domain.pool.keys import image_id
from octospoon.domain.task_types.classification.metrics import calibration
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.ui.boxes import boxes, compared
from octospoon.usecases.decisions import newest_jobs
from octospoon.usecases.judge_audit import JudgeAudit
from octospoon.usecases.live_evaluation import EvaluateLive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.task_types.task_type import TaskType
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
    pointer, state, task_type = storage.champions.pointer(), storage.control.state(), storage.task_type
    document: dict[str, Any] = {
        "version": None,
        "jobs": msgspec.to_builtins(newest_jobs(storage.history, state.jobs, JOBS)),
        "new_labels": state.new_labels,
        "task_type": task_type.name,
        "metric": task_type.evaluator.metric_name,
    }
    if pointer is None or not pointer[0].predicts:
        return document
    champion = pointer[0]
    head = backend.head(champion) if champion.head_key else None
    history = backend.history()  # read once: each reading is a request
    records, read = storage.training_records, backend.history
    evaluate = EvaluateLive(storage.pool, storage.labels, records, task_type, read)
    judge = JudgeAudit(storage.pool, storage.labels, records, backend.head, task_type, read)
    images, versions, sampled = judge([champion, *_comparable(backend, champion)])
    return {
        **document,
        "version": champion.version,
        "measured": msgspec.to_builtins(evaluate(champion, head), enc_hook=float),
        "sampled": sampled,
        "images": [_image(image, task_type, history) for image in images],
        "versions": [_version(version, images, task_type, history) for version in versions],
        "pairs": [_pair(versions[i], old) for i in range(len(versions)) for old in versions[i + 1 :]],
        "calibration": _calibration(versions[0]),
    }


def _comparable(backend: Backend, champion: ChampionPointer) -> list[ChampionPointer]:
    """Return the newest other versions that can be compared, newest first.

    These have a head over the champion's backbone, or are detectors as the champion is.
    """
    champions = backend.storage.champions
    newest = champions.newest()
    comparable: list[ChampionPointer] = []
    for version in range(newest, max(-1, newest - _LOOKED_AT), -1):
        pointer = champions.version(version) if version != champion.version else None
        if pointer is not None and _alike(pointer, champion):
            comparable.append(pointer)
        if len(comparable) == VERSIONS - 1:
            break
    return comparable


def _alike(pointer: ChampionPointer, champion: ChampionPointer) -> bool:
    if champion.head_key:
        return bool(pointer.head_key) and pointer.backbone == champion.backbone
    return pointer.predicts and not pointer.head_key


def _image(image: LabelledImage, task_type: TaskType, history: ClassHistory) -> dict[str, Any]:
    return {
        "key": image.key,
        "etag": image.etag,
        "id": image_id(image.key, image.etag),
        "label": task_type.labels.shown(image.label, history),
        **_parts(task_type, image.label, history),
    }


def _parts(task_type: TaskType, label: str, history: ClassHistory) -> dict[str, Any]:
    """Return the boxes of a label that may have several parts; nothing where each has one class."""
    if task_type.name == TaskTypeName.CLASSIFICATION:
        return {}
    return {"boxes": boxes(task_type, label, history)}


def _version(
    version: JudgedVersion, images: Sequence[LabelledImage], task_type: TaskType, history: ClassHistory
) -> dict[str, Any]:
    labels = task_type.labels
    predicted = [labels.shown(label, history) if label else None for label in version.predicted]
    right = [bool(hit) if known else None for hit, known in zip(version.right, version.judged, strict=True)]
    confidence = [round(share, 5) for share in version.confidence.tolist()]
    answers = {"version": version.version, "predicted": predicted, "right": right, "confidence": confidence}
    if task_type.name == TaskTypeName.CLASSIFICATION:
        return answers
    judged = zip(images, version.predicted, version.scores, strict=True)
    return {
        **answers,
        "parts": [
            compared(task_type, image.label, label, scores, history) if label else None
            for image, label, scores in judged
        ],
    }


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
    return [(image["key"], image["etag"]) for image in (document or {}).get("images", ())]
