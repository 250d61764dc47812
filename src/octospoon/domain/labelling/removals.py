"""Labels that would be lost because Label Studio no longer has their annotations."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from octospoon.domain.labelling.tasks import Annotation

MOST_AT_ONCE = 20
"""So many labels are a mass removal, however many there are."""
MOST_SHARE = 0.05
"""More than this share of all labels is a mass removal."""
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mass removal that waits for a person.

    Attributes:
        id: the same for the same annotations of the same project; empty where nothing waits.
        project: in which the annotations are missing; see `project_name`.
        walk: where the annotations are listed.
        labels: images that have an answer among the annotations.
        annotations: how many are missing.
        examples: keys of some of the images.
        found_at: epoch seconds.
        accepted: a person wants the annotations removed.
        applied: how many of them are done.
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
        """Whether somebody has to decide."""
        return bool(self.id) and not self.accepted


def proposal(annotations: Sequence[Annotation], project: str, walk: str, now: float) -> Proposal:
    """Return the proposal to remove these annotations."""
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
    """Return how many labels there must be for `removed` of them not to be a mass removal.

    0 where that does not depend on it: one label alone is never many.
    """
    return 0 if removed <= 1 or removed >= MOST_AT_ONCE else round(removed / MOST_SHARE)


def is_mass(removed: int, labels: int) -> bool:
    """Say whether a person has to agree before so many of all labels are removed."""
    return removed >= MOST_AT_ONCE or labels < count_that_decides(removed)
