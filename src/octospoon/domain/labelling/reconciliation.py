"""What comparing the stores with each other needs to know, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octospoon.domain.pool.images import State


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
        object_etag: the bucket's own ETag of the newest upload that was seen, where it is not `etag`.
    """

    key: str
    etag: str
    state: State
    sequencer: str = ""
    round_number: int = 0
    claim_until: float = 0.0
    reason: str = ""
    object_etag: str = ""


@dataclass(frozen=True, slots=True)
class TaskSync:
    """One comparison of Label Studio's tasks with what is stored, by ascending task id, in one run or many.

    Attributes:
        began: epoch seconds; whatever changed later is left to the next task sync.
        since: epoch seconds; only tasks that changed since then are looked at, every one where it is 0.
        position: the highest task id that is done.
        finished: no task is left.
        full_began: when the newest task sync over every task began.
        classes: the project's class names by which annotations were read, separated by commas.
    """

    began: float = 0.0
    since: float = 0.0
    position: int = 0
    finished: bool = True
    full_began: float = 0.0
    classes: str = ""


@dataclass(frozen=True, slots=True)
class FullAudit:
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
