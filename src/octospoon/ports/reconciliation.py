"""What the comparison of Label Studio with the stored annotations has seen, and what it proposes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.labelling.reconciliation import TaskSync
    from octospoon.domain.labelling.removals import Proposal
    from octospoon.domain.labelling.tasks import Annotation


class MissingAnnotations(Protocol):
    """The annotations that a walk did not find in Label Studio, page by page."""

    def add(self, walk: str, page: str, annotations: Sequence[Annotation]) -> None:
        """Store the missing annotations of one page, unless the page is stored already."""

    def of(self, walk: str) -> list[Annotation]:
        """Return every annotation that a walk did not find, ordered by key."""


class Proposals(Protocol):
    """The proposed mass removal of labels, which a person must accept."""

    def read(self) -> Proposal:
        """Return the newest proposal; an empty proposal if there is none."""

    def save(self, before: Proposal, proposal: Proposal) -> bool:
        """Replace `before`; return False if it has been replaced or accepted already."""


class TaskSyncs(Protocol):
    """The progress of comparing Label Studio's tasks with the stored annotations."""

    def read(self) -> TaskSync:
        """Return the newest task sync."""

    def save(self, before: TaskSync, sync: TaskSync) -> bool:
        """Replace `before`; return False if it has been replaced already."""
