"""Events of a deployment, for people's chats and other programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Detail = Mapping[str, str | int | float | bool | None]

STALE = 7 * 86_400.0
"""Seconds without a publication, after which publishing begins anew instead of telling old news."""
RECENT = 500
"""Labels that are remembered, so that those of the overlap of two runs are published once as a rule."""


class Kind(StrEnum):
    """The kind of an event; the names are part of the interface (docs/reference/events.md)."""

    ROUND_EXPORTED = "Round Exported"
    LABEL_SETTLED = "Label Settled"
    TRAINING_FINISHED = "Training Finished"
    MODEL_PROMOTED = "Model Promoted"
    MODEL_REFUSED = "Model Refused"
    DRIFT_CONFIRMED = "Drift Confirmed"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. It may be published several times, each time with the same id.

    Attributes:
        kind: what it is about.
        subject: what it happened to; unique within its kind and deployment.
        detail: its facts, which JSON can hold.
    """

    kind: Kind
    subject: str
    detail: Detail

    @property
    def id(self) -> str:
        """The id, by which a consumer recognises a repetition; unique within a deployment."""
        return f"{self.kind.lower().replace(' ', '-')}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Published:
    """The progress of publishing; all earlier events were published at least once.

    Attributes:
        at: epoch seconds of the newest publication; 0 before the first.
        round: the newest exported round.
        job: number of the newest training job that ended.
        generation: of the newest champion pointer; -1 before the first.
        drift: the newest window with confirmed drift; empty before the first.
        labels_until: epoch seconds; answers that changed earlier are published.
        recent: subjects of the newest labels that are published, at most RECENT.
        revision: increases with every change of this record.
    """

    at: float = 0.0
    round: int = 0
    job: int = 0
    generation: int = -1
    drift: str = ""
    labels_until: float = 0.0
    recent: tuple[str, ...] = ()
    revision: int = 0

    def with_labels(self, labels: Sequence[Event]) -> Published:
        """Return the progress after the publication of these labels."""
        return replace(self, recent=(*self.recent, *(event.subject for event in labels))[-RECENT:])

    def begins(self, now: float) -> bool:
        """Return whether publishing begins now, with nothing of the past."""
        return now > self.at + STALE
