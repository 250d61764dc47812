"""The results of scoring one upload, and the steps on the way to them."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from octospoon.domain.pool.images import ImageRef, ScoredImage


class Outcome(StrEnum):
    """The result of one upload.

    Attributes:
        SCORED: its score is in the pool.
        KNOWN: this model has scored the same bytes before.
        STALE: the pool holds a newer upload of the same key.
        QUARANTINED: it can never be scored.
        FOLDER: it marks a folder and is no image; it gets no row.
    """

    SCORED = "scored"
    KNOWN = "known"
    STALE = "stale"
    QUARANTINED = "quarantined"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Rejected:
    """An upload that can never be scored, and the reason."""

    image: ImageRef
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Known:
    """An upload of bytes that this model has scored before.

    Attributes:
        image: the upload.
        newer: whether the row holds an older upload of these bytes.
    """

    image: ImageRef
    newer: bool


Predicted: TypeAlias = "ScoredImage | Rejected | Known | Outcome"
"""The result of reading and predicting an upload."""
Step: TypeAlias = "Outcome | Exception | Future[Outcome] | Future[dict[str, Step]]"
"""An upload's result, or the future that has it, for this upload alone or by key."""


def outcome_of(key: str, step: Step) -> Outcome | Exception:
    """Wait for an upload's result; an error is returned, so that it does not fail the whole batch."""
    try:
        while isinstance(step, Future):
            result = step.result()
            step = result[key] if isinstance(result, dict) else result
    except Exception as error:  # noqa: BLE001 - returned, see above
        return error
    return step
