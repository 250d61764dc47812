"""The stored form of the training job's item."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from octospoon.adapters.dynamodb.items import Item, integer, number, text
from octospoon.domain.training.backbone_change import BackboneChange
from octospoon.domain.training.jobs import JobSettings, JobStatus, TrainingState


def training_state(item: Item) -> TrainingState:
    """Return the state in an item; an empty item is the state before the first job."""
    return TrainingState(
        status=JobStatus(text(item, "status", JobStatus.IDLE)),
        job_id=text(item, "job_id"),
        jobs=integer(item, "jobs"),
        new_labels=integer(item, "new_labels"),
        lease_until=number(item, "lease_until"),
        reason=text(item, "reason"),
        since=integer(item, "since"),
        begun_at=number(item, "begun_at"),
        begun_day=text(item, "begun_day"),
        begun_today=integer(item, "begun_today"),
        lost=integer(item, "lost"),
        requested=text(item, "requested"),
        settings=_settings(text(item, "settings")),
        project_classes=tuple(msgspec.json.decode(text(item, "project_classes", "[]"))),
        backbone_change=_change(text(item, "backbone_change"), integer(item, "backbone_revision")),
    )


def settings_text(settings: JobSettings | None) -> str:
    """Return a job's settings as they are stored; empty for none."""
    return "" if settings is None else msgspec.json.encode(settings).decode()


def classes_text(classes: tuple[str, ...]) -> str:
    """Return class names as they are stored."""
    return msgspec.json.encode(classes).decode()


def change_text(change: BackboneChange) -> str:
    """Return a change of the backbone as it is stored, without its revision."""
    return msgspec.json.encode(replace(change, revision=0)).decode()


def _change(stored: str, revision: int) -> BackboneChange | None:
    if not stored:
        return None
    return replace(msgspec.json.decode(stored, type=BackboneChange), revision=revision)


def _settings(stored: str) -> JobSettings | None:
    return msgspec.json.decode(stored, type=JobSettings) if stored else None
