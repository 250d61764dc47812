"""The story of an image as events in the order in which they happened, in words."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.domain.trace import Choice, Trace, Training, Upload


class Event(NamedTuple):
    """One event: when (epoch seconds, None if it was not stored), what, and the particulars."""

    at: float | None
    what: str
    particulars: str


def timeline(image: Trace) -> list[Event]:
    """Return the events of an image in the order in which they happened.

    An event without a time comes right after the event that it followed.
    """
    latest, timed = 0.0, []
    for event in _events(image):
        latest = latest if event.at is None else event.at
        timed.append((latest, event))
    return [event for _, event in sorted(timed, key=lambda pair: pair[0])]


def _events(image: Trace) -> Iterator[Event]:
    for upload in image.uploads:
        yield from _upload(upload)
    for at in image.deletions:
        yield Event(at, "deleted", "from the bucket")
    yield from map(_choice, image.choices)
    if image.export:
        yield Event(
            image.export.at, "exported", _listed(f"task {image.export.task_id}", image.export.address)
        )
    yield from map(_annotation, image.annotations)
    if image.label:
        label = image.label
        given = f"agreement {label.agreement:.0%} of {label.annotators}" if label.annotators else "imported"
        particulars = f"{label.label}, {given}"
        yield Event(label.at, "label settled", particulars)
    if image.reason:
        yield Event(image.quarantined_at, "quarantine", f"{image.reason}: {image.detail}")
    yield from map(_training, image.trainings)


def _upload(upload: Upload) -> Iterator[Event]:
    version = f", version {upload.version_id}" if upload.version_id else ""
    seen = f", sequencer {upload.sequencer}" if upload.sequencer else ", never scored"
    listed = f", listed as {upload.object_etag}" if upload.object_etag else ""
    yield Event(upload.at, "uploaded", f"etag {upload.etag}{listed}{version}{seen}, id {upload.image}")
    for score in upload.scores:
        sure = "" if score.confidence is None else f" {score.confidence:.1%}"
        label = "" if score.label is None else f": {score.label}{sure}"
        yield Event(score.at, "scored", f"by version {score.model_version}{label}")
    if upload.replaced_at is not None:
        task = f"task {upload.task_id}" if upload.task_id else ""
        was = ", ".join(part for part in (upload.state, upload.label, task, upload.reason) if part)
        yield Event(upload.replaced_at, "replaced", f"by newer bytes; was {was}")


def _choice(choice: Choice) -> Event:
    pick = choice.pick
    score = "" if pick.score is None else f", score {pick.score:.4f}"
    drawn = "" if pick.draw_probability is None else f", drawn with probability {pick.draw_probability:.3g}"
    audit = ", audit share" if pick.audit else ""
    model = f", by version {choice.model_version}"
    notes = "".join(f"; {note}" for note in choice.notes)
    return Event(
        choice.at,
        "chosen",
        f"round {choice.round_number}, rank {pick.rank}, {pick.strategy}{score}{drawn}{audit}{model}{notes}",
    )


def _annotation(annotation: Annotation) -> Event:
    answer = "no answer (skipped, or not one class)" if annotation.label is None else annotation.label
    gone = ", deleted since" if annotation.deleted else ""
    at = datetime.fromisoformat(annotation.updated_at).timestamp() if annotation.updated_at else None
    left_out = f"left out: {annotation.note}" if annotation.note else ""
    by = f"by annotator {annotation.annotator}" if annotation.annotator else ""
    return Event(at, "annotated", _listed(answer, left_out, by, f"annotation {annotation.number}{gone}"))


def _training(training: Training) -> Event:
    version = "" if training.model_version is None else f"version {training.model_version} {training.outcome}"
    what = "judged on" if training.part == "audit" else "trained on"
    job = f"{training.job_id} ({training.part}) as {training.label}"
    return Event(training.at, what, _listed(job, version, training.snapshot, training.run))


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
