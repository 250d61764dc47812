"""Detect mass removals: many labels would be lost because Label Studio no longer has their annotations."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from octospoon.domain.labelling.tasks import Annotation

MOST_AT_ONCE = 20
"""Number of removed labels that is a mass removal for any total."""
MOST_SHARE = 0.05
"""Share of all labels above which a removal is a mass removal."""
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mass removal that needs a person's decision.

    Attributes:
        id: identifies the set of annotations and the project; empty if there is no proposal.
        project: the project that lacks the annotations; see `project_name`.
        walk: where the annotations are listed.
        labels: number of images with an answer among the annotations.
        annotations: number of missing annotations.
        examples: keys of some of the images.
        found_at: epoch seconds of the proposal.
        accepted: True if a person accepted the removal.
        applied: number of annotations removed so far.
    """

    id: str = ""
    project: str = ""
    walk: str = ""
    labels: int = 0
    annotations: int = 0
    examples: tuple[str, ...] = ()
    found_at: float = 0.0
    accepted: bool = False
    applied: int = 0

    @property
    def waits(self) -> bool:
        """True if a person must decide."""
        return bool(self.id) and not self.accepted


def proposal(annotations: Sequence[Annotation], project: str, walk: str, now: float) -> Proposal:
    """Make the proposal to remove these annotations; equal arguments give an equal id.

    Args:
        annotations: the missing annotations.
        project: the project that lacks them.
        walk: where they are listed.
        now: epoch seconds.
    """
    names = sorted(f"{annotation.annotation_id} {annotation.updated_at}" for annotation in annotations)
    keys = labels_of(annotations)
    return Proposal(
        id=hashlib.sha256("\n".join([project, *names]).encode()).hexdigest()[:16],
        project=project,
        walk=walk,
        labels=len(keys),
        annotations=len(names),
        examples=tuple(keys[:EXAMPLES]),
        found_at=now,
    )


def labels_of(annotations: Iterable[Annotation]) -> list[str]:
    """Return the keys of the images that have an answer among these annotations."""
    return sorted({annotation.key for annotation in annotations if annotation.label is not None})


def count_that_decides(removed: int) -> int:
    """Return the smallest total of labels for which `removed` labels are no mass removal.

    0 if the total does not matter: one label is never a mass removal, and MOST_AT_ONCE labels always are.
    """
    return 0 if removed <= 1 or removed >= MOST_AT_ONCE else round(removed / MOST_SHARE)


def is_mass(removed: int, labels: int) -> bool:
    """Return True if a person must agree before `removed` of all `labels` are removed."""
    return removed >= MOST_AT_ONCE or labels < count_that_decides(removed)
