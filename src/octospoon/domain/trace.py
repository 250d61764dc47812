"""One image's whole story, from its upload to the training runs that used it.

Times are epoch seconds, None where nobody kept them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octospoon.domain.labelling.tasks import Annotation, Pick
    from octospoon.domain.pool.images import State
    from octospoon.domain.pool.score_history import PreviousUpload, Score


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A whole row of the pool, without its vectors.

    Attributes:
        key: object key.
        etag: of the bytes that were scored or refused.
        sequencer: of their newest upload.
        state: of the image.
        scores: of these bytes, oldest first; the newest sixteen.
        task_id: of the task in Label Studio, 0 for none.
        exported_at: when the task was recorded.
        label: None for none.
        agreement: share of the annotators who chose it.
        annotators: people who answered.
        labelled_at: when the label was settled.
        reason: why it is in quarantine; empty elsewhere.
        detail: of the reason.
        quarantined_at: when its bytes were refused; None also where it was withdrawn later.
        previous_uploads: the uploads before this one, oldest first; the newest four.
        object_etag: the bucket's own ETag of the newest upload of these bytes, where it is not `etag`.
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
    """One version of an object, as the bucket lists it.

    Attributes:
        etag: the bucket's own; empty for a deletion.
        version_id: the bucket's name of it.
        at: when it was uploaded, or deleted.
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
    """A score, with the class that it names; see `Score`."""

    at: float
    model_version: int
    generation: int
    label: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload of the image, and what its bytes were scored.

    Attributes:
        image: correlation id of these bytes.
        etag: of the bytes.
        at: when the bucket got them.
        version_id: the bucket's name of them; empty where it is no longer known.
        sequencer: S3's order of events on one key; empty where the upload was never seen.
        scores: oldest first.
        state: of the image with these bytes; empty where the upload was never seen.
        replaced_at: when newer bytes took their place in the pool.
        task_id: of the task that was made for these bytes, 0 for none.
        label: which the image had with these bytes.
        reason: why they were in quarantine; empty elsewhere.
        object_etag: the bucket's own ETag, where it is not `etag`.
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
    """A labelling round that chose the image, the model that it was chosen by, and the pick."""

    round_number: int
    at: float
    model_version: int
    pick: Pick


@dataclass(frozen=True, slots=True)
class Export:
    """The image's task in Label Studio; `address` is where people see it."""

    at: float | None
    task_id: int
    address: str


@dataclass(frozen=True, slots=True)
class Label:
    """The label that the image has now."""

    at: float | None
    label: str
    agreement: float
    annotators: int


@dataclass(frozen=True, slots=True)
class Training:
    """A training job whose snapshot holds the image.

    Attributes:
        job_id: of the job.
        snapshot: its address.
        part: ``audit`` for the share that is never trained on, else ``train``.
        label: which the image had in the snapshot.
        etag: of the bytes that this was the label of.
        at: when the gate decided.
        model_version: of the job's model.
        outcome: what the gate said; empty where it did not yet.
        run: address of the run in the experiment tracker; empty where it is not known.
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
    """The story.

    Attributes:
        key: object key.
        image: correlation id of the bytes that are in the pool now.
        state: of the image.
        uploads: oldest first; the last one seen is in the pool.
        deletions: when the object was deleted.
        choices: rounds that chose it, oldest first.
        export: its task, None for none.
        annotations: by time, deleted and skipped ones included.
        label: None for none.
        reason: why it is in quarantine; empty elsewhere.
        detail: of the reason.
        quarantined_at: see `ImageRecord`.
        trainings: jobs that used it, oldest first.
        notes: what could not be found out, and why.
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
