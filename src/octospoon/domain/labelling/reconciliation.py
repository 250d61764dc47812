"""Data of the reconciliation: the entries that it compares, and its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.pool.images import ARCHIVED
from octospoon.domain.pool.keys import is_folder_marker

if TYPE_CHECKING:
    from octospoon.domain.pool.images import State, StoredObject


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """The part of a pool row that reconciliation compares.

    Attributes:
        key: object key.
        etag: ETag of the bytes that were scored or refused.
        state: state of the image.
        sequencer: sequencer of the newest upload that was processed.
        round_number: number of the last labelling batch with this image, 0 for none.
        claim_until: epoch seconds at which a claim expires.
        reason: the quarantine reason; empty in other states.
        object_etag: the bucket's own ETag of the newest processed upload, if it differs from `etag`.
    """

    key: str
    etag: str
    state: State
    sequencer: str = ""
    round_number: int = 0
    claim_until: float = 0.0
    reason: str = ""
    object_etag: str = ""


def needs_scoring(stored: StoredObject, entry: PoolEntry | None) -> bool:
    """Return whether the pool does not know the bytes that a bucket holds now.

    Args:
        stored: the object.
        entry: of the pool for its key, if there is one.
    """
    if stored.other_file or is_folder_marker(stored.key, stored.size):
        return False
    if entry is None or entry.reason == "gone":
        return True
    if entry.reason == ARCHIVED and not stored.archived:
        return True
    return stored.etag not in (entry.etag, entry.object_etag)


@dataclass(frozen=True, slots=True)
class TaskSync:
    """The progress of a task sync: a comparison of Label Studio's tasks with the stored annotations.

    It goes through tasks by ascending id, in one run or several.

    Attributes:
        began: epoch seconds at the start; later changes are left to the next task sync.
        since: epoch seconds; only tasks that changed since then are compared. 0 for all tasks.
        position: the highest task id that is finished.
        finished: True if no task is left.
        full_began: epoch seconds at the start of the newest task sync over all tasks.
        classes: the project's class names that were used to read annotations, separated by commas.
    """

    began: float = 0.0
    since: float = 0.0
    position: int = 0
    finished: bool = True
    full_began: float = 0.0
    classes: str = ""


@dataclass(frozen=True, slots=True)
class FullAudit:
    """The progress of a full audit: a comparison of bucket, pool and stored annotations, page by page.

    Attributes:
        began: epoch seconds at the start.
        phase: name of the current phase, which reads one of the three stores.
        cursor: the last key that is finished in this phase.
        finished: True if every phase is finished.
    """

    began: float = 0.0
    phase: str = ""
    cursor: str = ""
    finished: bool = True
