"""Data of labelling: batches, tasks, annotations and labels."""

from __future__ import annotations

from dataclasses import dataclass

from octospoon.domain.pool.images import State


@dataclass(frozen=True, slots=True)
class Pick:
    """One image of a labelling batch, and how it was chosen. It is stored with the round and never changed.

    Attributes:
        key: object key.
        etag: ETag of the bytes that were scored.
        audit: True for the audit share, which is drawn uniformly and on which models are judged.
        strategy: name of the strategy, ``random`` for the audit share.
        score: the strategy's score; None if it has none.
        rank: position in the batch, from 0.
        draw_probability: probability of this image to be drawn; None for a deterministic choice.
        blind: True if annotators see no prediction; see `octospoon.domain.labelling.blinding`.
    """

    key: str
    etag: str
    audit: bool
    strategy: str
    score: float | None
    rank: int
    draw_probability: float | None
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """A labelling batch.

    Attributes:
        number: number of the round, from 1.
        created_at: when it was chosen, ISO 8601 in UTC.
        model_version: version of the model that it was chosen with.
        picks: its images.
        jobs: number of training jobs started before it was chosen; 0 if it is from an earlier release.
        notes: why it is composed in this way, for people.
    """

    number: int
    created_at: str
    model_version: int
    picks: tuple[Pick, ...]
    jobs: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A task for an annotator: the image, and the model's prediction if there is one.

    Attributes:
        key: object key.
        etag: ETag of the bytes that the task shows.
        image_uri: where Label Studio finds the image.
        label: the predicted label; None for no prediction.
        confidence: of the prediction.
        version: names the model that made the prediction, see `version_name`; empty for no prediction.
    """

    key: str
    etag: str
    image_uri: str
    label: str | None
    confidence: float | None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Guess:
    """The model's prediction for the image of an existing task."""

    task: int
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """Numbers of a project's tasks.

    Attributes:
        waiting: octospoon's tasks without answer or skip; they delay a new batch.
        skipped: octospoon's tasks that were skipped and not answered.
        abandoned: octospoon's tasks without an answer for so long that they no longer delay a batch.
        not_ours: tasks that octospoon did not make.
        not_ours_answered: tasks of `not_ours` with an answer, which does not count.
    """

    waiting: int = 0
    skipped: int = 0
    abandoned: int = 0
    not_ours: int = 0
    not_ours_answered: int = 0


UNKNOWN_ANNOTATOR = ""
"""The annotator of an annotation whose account was deleted."""
_EARLIER_UNKNOWN = "None"  # older rows have this value instead


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's answer for one image.

    Attributes:
        key: object key of the image.
        etag: ETag of the bytes that the annotator saw.
        annotation_id: Label Studio's ``unique_id``; it stays the same over repeated deliveries.
        number: Label Studio's numeric id, the only identification in a deletion event.
        updated_at: ISO 8601 in UTC, as Label Studio wrote it; the newest wins.
        annotator: Label Studio's user id; `UNKNOWN_ANNOTATOR` if the account was deleted.
        label: the chosen class; None for a skip, an empty or an invalid answer.
        deleted: True if Label Studio no longer has it.
        project: its Label Studio project, see `project_name`; empty if unknown.
        problem: why the answer does not count, see `answers.PROBLEMS`; empty for a valid answer or a skip.
        source: ``imported`` for a label from before octospoon; empty for an answer in Label Studio.
        note: what of the answer is not in the label, see `answers.noted`; empty for nothing.
    """

    key: str
    etag: str
    annotation_id: str
    number: int
    updated_at: str
    annotator: str
    label: str | None
    deleted: bool = False
    project: str = ""
    problem: str = ""
    source: str = ""
    note: str = ""

    @property
    def voter(self) -> str:
        """The identity of the voter; each annotation without an annotator is its own voter."""
        unknown = self.annotator in (UNKNOWN_ANNOTATOR, _EARLIER_UNKNOWN)
        return f"annotation {self.annotation_id}" if unknown else self.annotator


def project_name(number: int, created_at: str) -> str:
    """Return a name that identifies a project across all Label Studio servers.

    Project numbers start at 1 on every server. The time of creation distinguishes them. It stays the same
    after a restored backup or a change of address.

    Args:
        number: number of the project.
        created_at: time of creation as Label Studio writes it; if empty, the name is empty.
    """
    return f"{number} of {created_at}" if created_at else ""


@dataclass(frozen=True, slots=True)
class LabelState:
    """The label of an image and its version, read consistently.

    Attributes:
        key: object key.
        etag: ETag of the bytes in the pool now; only annotations of these bytes count.
        state: state of the image.
        label: its current label, None for none.
        agreement: share of the annotators who chose the label.
        annotators: number of annotators who answered; 0 for an imported label.
        revision: increases with every change of the label, so that a write based on an older read fails.
        counted_in: number of jobs started when its label was counted; -1 if it was not counted.
        audit: whether it was last chosen for the audit share.
    """

    key: str
    etag: str
    state: State
    label: str | None = None
    agreement: float = 0.0
    annotators: int = 0
    revision: int = 0
    counted_in: int = -1
    audit: bool = False

    @property
    def reserved(self) -> bool:
        """True if only people may label the image, because it serves as audit."""
        return self.audit and self.state in (State.CLAIMED, State.EXPORTED, State.LABELLED)


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One row of a training snapshot; see `Pick` and `LabelState` for most attributes.

    `arrived` is the UTC day of the upload, empty if unknown. `blind` is True if annotators saw no prediction.
    """

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
    blind: bool = False
