"""A labelling batch, its tasks, and what annotators make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octospoon.domain.pool.images import State


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
        blind: True where annotators get no prediction; see `octospoon.domain.labelling.blinding`.
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
class Guess:
    """What the model says of the image of a task that exists already."""

    task: int
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """How many of a project's tasks there are, by what is to be expected of them.

    Attributes:
        waiting: octospoon's own that nobody has answered or skipped, and that hold up a new batch.
        skipped: octospoon's own that somebody skipped, and nobody has answered.
        abandoned: octospoon's own that nobody has answered for so long that they hold up nothing.
        not_ours: tasks that octospoon did not make.
        not_ours_answered: those of them that have an answer, which is not counted.
    """

    waiting: int = 0
    skipped: int = 0
    abandoned: int = 0
    not_ours: int = 0
    not_ours_answered: int = 0


UNKNOWN_ANNOTATOR = ""
"""The annotator of an annotation whose account was deleted."""
_EARLIER_UNKNOWN = "None"  # what was stored for it before


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's word on one image.

    Attributes:
        key: object key of the image.
        etag: of the bytes the annotator saw.
        annotation_id: Label Studio's ``unique_id``; the identity over re-deliveries.
        number: Label Studio's numeric id, the only name that a deletion carries.
        updated_at: ISO 8601, UTC, as Label Studio wrote it; the newest wins.
        annotator: Label Studio's user id; `UNKNOWN_ANNOTATOR` where the account was deleted.
        label: the chosen class; None for a skip, an empty or an invalid answer.
        deleted: True once Label Studio no longer has it.
        project: of Label Studio that it is in, see `project_name`; empty where that is not known.
        problem: why the answer does not count, see `answers.PROBLEMS`; empty where it does, or is a skip.
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

    @property
    def voter(self) -> str:
        """Whose vote it is: an annotation without an annotator is a voter of its own."""
        unknown = self.annotator in (UNKNOWN_ANNOTATOR, _EARLIER_UNKNOWN)
        return f"annotation {self.annotation_id}" if unknown else self.annotator


def project_name(number: int, created_at: str) -> str:
    """Return what tells a project of Label Studio from every other, of another Label Studio too.

    Numbers begin at 1 everywhere; the moment of creation stays, in a restored backup as at a new address.

    Args:
        number: of the project.
        created_at: as Label Studio writes it; the name is empty without it.
    """
    return f"{number} of {created_at}" if created_at else ""


@dataclass(frozen=True, slots=True)
class LabelState:
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
class LabelledImage:
    """One row of a training snapshot.

    `arrived` is the UTC day of the upload, empty where it is unknown; `blind` says that annotators saw no
    prediction.
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
