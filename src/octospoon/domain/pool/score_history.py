"""Data about an image's past: earlier scores and earlier uploads. Times are epoch seconds.

This module is separate from `octospoon.domain.trace` so that scoring does not load that.
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
    """A score in the history of an image.

    Attributes:
        at: time of the score.
        model_version: version of the model.
        generation: generation of the pointer to that model.
        top_class: index of the most probable class; None from a cold-start model.
        confidence: its probability; None from a cold-start model.
    """

    at: float
    model_version: int
    generation: int
    top_class: int | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class PreviousPick:
    """The pick of an earlier upload that was labelled, and when its task was recorded; see `Pick`."""

    strategy: str
    audit: bool
    score: float | None = None
    rank: int = 0
    draw_probability: float | None = None
    exported_at: float | None = None


@dataclass(frozen=True, slots=True)
class PreviousUpload:
    """An earlier upload of an image, with other bytes than the pool has now.

    Attributes:
        etag: ETag of its bytes.
        sequencer: sequencer of its upload.
        state: state of the image when it was replaced.
        replaced_at: time of the replacement.
        scores: scores of its bytes.
        round_number: number of the round that chose it, 0 for none.
        task_id: id of its task, 0 for none.
        label: its label, None for none.
        reason: its quarantine reason; empty in other states.
        object_etag: the bucket's own ETag of its bytes, if it differs from `etag`.
        pick: how it was chosen; None if no round chose it, or it was not labelled.
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
    """Return the newest earlier upload with these bytes if it was labelled; its label is valid again.

    Args:
        previous_uploads: the earlier uploads, oldest first.
        etag: ETag of the bytes uploaded now.
    """
    newest = next((upload for upload in reversed(previous_uploads) if upload.etag == etag), None)
    return newest if newest and newest.label is not None else None
