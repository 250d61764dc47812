"""The history of one image, from its upload to the training jobs that used it.

Times are epoch seconds, or None if they were not recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import Annotation, Pick
    from octospoon.domain.pool.images import State
    from octospoon.domain.pool.score_history import PreviousUpload, Score
    from octospoon.domain.task_types.task_type import StoredLabels


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A row of the pool without embedding and probabilities.

    Attributes:
        key: object key.
        etag: ETag of the bytes that were scored or refused.
        sequencer: sequencer of their newest upload.
        state: state of the image.
        scores: the newest sixteen scores of these bytes, oldest first.
        task_id: id of the task in Label Studio, 0 for none.
        exported_at: when the task was recorded.
        label: the label, None for none.
        agreement: share of the annotators who chose the label.
        annotators: number of annotators who answered.
        labelled_at: when the label was resolved.
        reason: the quarantine reason; empty in other states.
        detail: details of the reason.
        quarantined_at: when its bytes were refused; also None if it was withdrawn later.
        previous_uploads: the newest four uploads before this one, oldest first.
        object_etag: the bucket's own ETag of the newest upload of these bytes, if it differs from `etag`.
    """

    key: str
    etag: str
    sequencer: str
    state: State
    scores: tuple[Score, ...] = ()
    task_id: int = 0
    exported_at: float | None = None
    label: str | None = None
    agreement: float = 0.0
    annotators: int = 0
    labelled_at: float | None = None
    reason: str = ""
    detail: str = ""
    quarantined_at: float | None = None
    previous_uploads: tuple[PreviousUpload, ...] = ()
    object_etag: str = ""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of an object in the listing of the bucket.

    Attributes:
        etag: the bucket's own ETag; empty for a deletion.
        version_id: the bucket's id of the version.
        at: time of the upload or the deletion.
        size: in bytes.
        deleted: True for a deletion.
    """

    etag: str
    version_id: str
    at: float
    size: int = 0
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class SeenScore:
    """A score with the name of its class; see `Score`. A detector that sees nothing gives no confidence."""

    at: float
    model_version: int
    generation: int
    label: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload of the image, and the scores of its bytes.

    Attributes:
        image: correlation id of these bytes.
        etag: ETag of the bytes.
        at: time of the upload.
        version_id: the bucket's id of the version; empty if it is no longer known.
        sequencer: S3's order of events on one key; empty if the upload was never processed.
        scores: the scores, oldest first.
        state: state of the image with these bytes; empty if the upload was never processed.
        replaced_at: when newer bytes replaced them in the pool.
        task_id: id of the task for these bytes, 0 for none.
        label: label of the image with these bytes.
        reason: the quarantine reason; empty in other states.
        object_etag: the bucket's own ETag, if it differs from `etag`.
    """

    image: str
    etag: str
    at: float | None
    version_id: str = ""
    sequencer: str = ""
    scores: tuple[SeenScore, ...] = ()
    state: str = ""
    replaced_at: float | None = None
    task_id: int = 0
    label: str | None = None
    reason: str = ""
    object_etag: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A labelling round that chose the image, the model version that it used, the pick, and its notes."""

    round_number: int
    at: float
    model_version: int
    pick: Pick
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """The image's task in Label Studio; `address` is its URL."""

    at: float | None
    task_id: int
    address: str


@dataclass(frozen=True, slots=True)
class Label:
    """The current label of the image."""

    at: float | None
    label: str
    agreement: float
    annotators: int


@dataclass(frozen=True, slots=True)
class Training:
    """A training job whose snapshot contains the image.

    Attributes:
        job_id: id of the job.
        snapshot: address of the snapshot.
        part: ``audit`` for the share that models are judged on, otherwise ``train``.
        label: label of the image in the snapshot.
        etag: ETag of the labelled bytes.
        at: time of the gate's decision.
        model_version: version of the job's model.
        outcome: the gate's decision; empty before it.
        run: address of the run in the experiment tracker; empty if unknown.
    """

    job_id: str
    snapshot: str
    part: str
    label: str
    etag: str
    at: float | None = None
    model_version: int | None = None
    outcome: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole history of an image.

    Attributes:
        key: object key.
        image: correlation id of the bytes in the pool now.
        state: state of the image.
        uploads: the uploads, oldest first; the last processed one is in the pool.
        deletions: times at which the object was deleted.
        choices: the rounds that chose it, oldest first.
        export: its task, None for none.
        annotations: its annotations by time, with deleted and skipped ones.
        label: its label, None for none.
        reason: the quarantine reason; empty in other states.
        detail: details of the reason.
        quarantined_at: see `ImageRecord`.
        trainings: the jobs that used it, oldest first.
        notes: what became of its classes, and facts that could not be determined.
    """

    key: str
    image: str
    state: str
    uploads: tuple[Upload, ...]
    deletions: tuple[float, ...]
    choices: tuple[Choice, ...]
    export: Export | None
    annotations: tuple[Annotation, ...]
    label: Label | None
    reason: str
    detail: str
    quarantined_at: float | None
    trainings: tuple[Training, ...]
    notes: tuple[str, ...]


def with_names_of_now(trace: Trace, labels: StoredLabels, history: ClassHistory) -> Trace:
    """Return a trace with the present name of every class, and a note on each merged or retired class."""

    def shown(label: str | None) -> str | None:
        return None if label is None else labels.shown(label, history)

    def upload(before: Upload) -> Upload:
        # a score names the most probable class, whatever the form of labels
        scores = tuple(
            replace(score, label=None if score.label is None else history.shown(score.label))
            for score in before.scores
        )
        return replace(before, label=shown(before.label), scores=scores)

    answers = [annotation.label for annotation in trace.annotations if annotation.label is not None]
    given = [*answers, *([trace.label.label] if trace.label else [])]
    fates = {fate for label in given for fate in labels.fates(label, history)}
    return replace(
        trace,
        uploads=tuple(upload(previous) for previous in trace.uploads),
        annotations=tuple(
            replace(annotation, label=shown(annotation.label)) for annotation in trace.annotations
        ),
        label=trace.label and replace(trace.label, label=labels.shown(trace.label.label, history)),
        trainings=tuple(
            replace(training, label=labels.shown(training.label, history)) for training in trace.trainings
        ),
        notes=(*sorted(fates), *trace.notes),
    )
