"""The nouns: what travels between the pool, the strategies, the annotators and the trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class State(StrEnum):
    """Where an image stands; an image is in exactly one state."""

    SCORED = "scored"
    CLAIMED = "claimed"
    EXPORTED = "exported"
    LABELLED = "labelled"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One upload of one image, as the bucket's event names it.

    Attributes:
        key: object key, decoded.
        etag: of the object's bytes, without quotes.
        sequencer: S3's order of events on one key (hex; compare after right-padding with zeros).
        size: in bytes.
    """

    key: str
    etag: str
    sequencer: str
    size: int


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Raw scores of one image; each grows with the model's doubt.

    Attributes:
        least_confidence: 1 - p(1), in [0, 1 - 1/C].
        margin: 1 - (p(1) - p(2)), in [0, 1].
        entropy: Shannon entropy over log(C), in [0, 1].
        top_class: index of the most probable class.
        confidence: p(1), in [1/C, 1].
    """

    least_confidence: float
    margin: float
    entropy: float
    top_class: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model says of one image.

    Attributes:
        model_version: version of the model that said it.
        backbone: sha256 of the backbone that made the embedding.
        embedding: float32 [D].
        probabilities: float32 [C], or None from a cold-start model.
        turn: of the pointer that the model serves by; see `ChampionPointer`.
    """

    model_version: int
    backbone: str
    embedding: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    turn: int = 0


class KnownScore(NamedTuple):
    """Whose score an image has: of which bytes, by which version, with which backbone's embedding."""

    etag: str
    model_version: int
    backbone: str


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One upload and what a model says of it."""

    image: ImageRef
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One image of the pool as stored (embedding and probabilities are float16 there)."""

    key: str
    etag: str
    state: State
    model_version: int
    backbone: str
    embedding: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A selectable image as the pool's indexes hold it: small, without its embedding.

    Attributes:
        key: object key.
        etag: of the bytes that were scored.
        priority: what the strategy wants first, higher first; None while there is no head.
        lottery: fixed number in [0, 1).
    """

    key: str
    etag: str
    priority: float | None
    lottery: float


@dataclass(frozen=True, slots=True)
class Pick:
    """One image of a labelling batch, and how it was drawn: kept for ever with the round.

    Attributes:
        key: object key.
        etag: of the bytes that were scored.
        audit: True for the uniformly drawn share, which is never trained on.
        strategy: name of the strategy, ``random`` for the audit share.
        score: the strategy's score (None where it has none).
        rank: position in the batch, from 0.
        draw_probability: probability with which this image was drawn, None for a deterministic pick.
    """

    key: str
    etag: str
    audit: bool
    strategy: str
    score: float | None
    rank: int
    draw_probability: float | None


@dataclass(frozen=True, slots=True)
class Round:
    """One labelling batch: its number, when it was chosen (ISO 8601, UTC), by which model, and its picks."""

    number: int
    created_at: str
    model_version: int
    picks: tuple[Pick, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """What an annotator gets: the picture, and the model's guess where there is one."""

    key: str
    etag: str
    image_uri: str
    label: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's word on one image.

    Attributes:
        key: object key of the image.
        etag: of the bytes the annotator saw.
        annotation_id: Label Studio's ``unique_id``; the identity over re-deliveries.
        number: Label Studio's numeric id, the only name that a deletion carries.
        updated_at: ISO 8601, UTC, as Label Studio wrote it; the newest wins.
        annotator: Label Studio's user id.
        label: the chosen class; None for a skip, an empty or an invalid answer.
        deleted: True once Label Studio no longer has it.
    """

    key: str
    etag: str
    annotation_id: str
    number: int
    updated_at: str
    annotator: str
    label: str | None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an image stands with its annotators, as read in one piece.

    Attributes:
        key: object key.
        etag: of the bytes that are in the pool now; only annotations of these bytes count.
        state: of the image.
        label: the label that it has now, None for none.
        agreement: share of the annotators who chose it.
        annotators: number of people who answered.
        revision: grows with every change of the label, so that an older view of the image changes nothing.
        counted_in: number of jobs begun when its label was counted; -1 where it was not.
    """

    key: str
    etag: str
    state: State
    label: str | None = None
    agreement: float = 0.0
    annotators: int = 0
    revision: int = 0
    counted_in: int = -1


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """What the reconciler needs to know of an image.

    Attributes:
        key: object key.
        etag: of the bytes that were scored or refused.
        state: of the image.
        sequencer: of the newest upload that was seen.
        round_number: of the labelling batch that took it last, 0 for none.
        claim_until: epoch seconds after which a claim is over.
        reason: why it is in quarantine; empty elsewhere.
    """

    key: str
    etag: str
    state: State
    sequencer: str = ""
    round_number: int = 0
    claim_until: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of the images bucket, as a listing names it; `modified` is in epoch seconds."""

    key: str
    etag: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One row of a training snapshot; `arrived` is the UTC day of the upload, empty where it is unknown."""

    key: str
    etag: str
    label: str
    agreement: float
    annotators: int
    audit: bool
    strategy: str
    draw_probability: float | None
    round_number: int
    arrived: str = ""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One comparison of Label Studio's tasks with what is stored, by ascending task id, in one run or many.

    Attributes:
        began: epoch seconds; whatever changed later is left to the next sweep.
        since: epoch seconds; only tasks that changed since then are looked at, every one where it is 0.
        position: the highest task id that is done.
        finished: no task is left.
        full_began: when the newest sweep over every task began.
    """

    began: float = 0.0
    since: float = 0.0
    position: int = 0
    finished: bool = True
    full_began: float = 0.0


@dataclass(frozen=True, slots=True)
class Inventory:
    """One comparison of the bucket, the pool and the stored annotations with each other, page by page.

    Attributes:
        began: epoch seconds.
        phase: which of them is walked through now.
        cursor: the last key that is done in this phase.
        finished: every phase is over.
    """

    began: float = 0.0
    phase: str = ""
    cursor: str = ""
    finished: bool = True


class JobStatus(StrEnum):
    """Where the one training job of a project stands."""

    IDLE = "idle"
    LAUNCHING = "launching"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """The control item that decides when to train.

    Attributes:
        status: of the newest job.
        job_id: of the newest job, empty before the first.
        jobs: number of jobs begun so far.
        new_labels: distinct images labelled since the last job was begun.
        lease_until: epoch seconds after which a launching or running job counts as lost.
        reason: why the newest job was begun, or why it failed.
        since: labels counted at this number of jobs, or later, are those in `new_labels`.
        begun_at: epoch seconds at which the newest job was begun.
        begun_day: UTC day of that, such as 2026-01-31.
        begun_today: jobs begun on that day.
        requested: why watching asked for a job since the newest was begun; empty where it did not.
    """

    status: JobStatus = JobStatus.IDLE
    job_id: str = ""
    jobs: int = 0
    new_labels: int = 0
    lease_until: float = 0.0
    reason: str = ""
    since: int = 0
    begun_at: float = 0.0
    begun_day: str = ""
    begun_today: int = 0
    requested: str = ""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What a trainer hands over.

    Attributes:
        model: the complete file.
        head: its head alone.
        held_out: float [N, C], what models that had not seen them say of the N training rows; NaN where none.
        metrics: what was measured.
        params: what was chosen.
        epochs: what was measured after each epoch, where there are epochs.
    """

    model: bytes
    head: bytes
    held_out: npt.NDArray[np.floating]
    metrics: dict[str, float]
    params: dict[str, str] = field(default_factory=dict)
    epochs: tuple[dict[str, float], ...] = ()
