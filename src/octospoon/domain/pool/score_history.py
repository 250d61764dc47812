"""What an image keeps of its past. Apart from the rest of its story, so that scoring does not load that.

Times are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SCORES = 16
"""How many scores of its bytes a row keeps, the newest ones."""
UPLOADS = 4
"""How many previous uploads a row keeps, the newest ones."""


@dataclass(frozen=True, slots=True)
class Score:
    """One score that an image got, as its row keeps it.

    Attributes:
        at: when it was given.
        model_version: of the model.
        generation: of the pointer by which that model served.
        top_class: index of the most probable class, None from a cold-start model.
        confidence: its probability, None from a cold-start model.
    """

    at: float
    model_version: int
    generation: int
    top_class: int | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class PreviousPick:
    """How the bytes of a labelled image had been chosen, and when their task was recorded; see `Pick`."""

    strategy: str
    audit: bool
    score: float | None = None
    rank: int = 0
    draw_probability: float | None = None
    exported_at: float | None = None


@dataclass(frozen=True, slots=True)
class PreviousUpload:
    """What a row keeps of bytes that it held before.

    Attributes:
        etag: of those bytes.
        sequencer: of their upload.
        state: in which the image was when it was replaced.
        replaced_at: when that was.
        scores: of those bytes.
        round_number: of the round that had chosen it, 0 for none.
        task_id: of its task, 0 for none.
        label: which it had, None for none.
        reason: why it was in quarantine; empty elsewhere.
        object_etag: the bucket's own ETag of those bytes, where it is not `etag`.
        pick: how they had been chosen; None where no round had, or nobody labelled them.
    """

    etag: str
    sequencer: str
    state: str
    replaced_at: float
    scores: tuple[Score, ...] = ()
    round_number: int = 0
    task_id: int = 0
    label: str | None = None
    reason: str = ""
    object_etag: str = ""
    pick: PreviousPick | None = None


def returned(previous_uploads: Sequence[PreviousUpload], etag: str) -> PreviousUpload | None:
    """Return the newest earlier upload of these bytes if they were labelled: they are back."""
    newest = next((upload for upload in reversed(previous_uploads) if upload.etag == etag), None)
    return newest if newest and newest.label is not None else None
