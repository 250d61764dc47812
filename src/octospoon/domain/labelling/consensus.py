"""The result of combining the annotations of one image, and what every way to combine them shares."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.labelling.imported import IMPORTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from octospoon.domain.labelling.tasks import Annotation


@dataclass(frozen=True, slots=True)
class Consensus:
    """The result of a vote of the annotators.

    Attributes:
        label: the label that the annotators agree on, in its stored form; None without answers.
        agreement: share of the annotators who agree with it, in (0, 1]; 0 without answers.
        annotators: number of annotators who answered; 0 without answers, and for an imported label.
    """

    label: str | None
    agreement: float
    annotators: int

    @property
    def imported(self) -> bool:
        """True for an imported label, which no annotator gave."""
        return self.label is not None and self.annotators == 0


def votes(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return the votes for an image's label.

    Each annotator has one vote, their newest answer. If the annotator's account was deleted, each annotation
    has its own vote. Deleted annotations do not count. Skips and answers that do not count withdraw the
    annotator's earlier vote. Imported labels are no votes.

    Args:
        annotations: of one image.
    """
    newest: dict[str, Annotation] = {}
    for annotation in annotations:
        held = newest.get(annotation.voter)
        counts = annotation.source != IMPORTED and not annotation.deleted
        if counts and (held is None or _age(annotation) > _age(held)):
            newest[annotation.voter] = annotation
    return [vote for vote in newest.values() if vote.label is not None]


def majority(cast: Sequence[Annotation], name: Callable[[Annotation], str]) -> list[Annotation]:
    """Return the votes for the name that wins.

    If names tie, the one whose votes were complete first wins: the newest votes of the tied names are
    compared, and the earliest wins. So a late second opinion does not change a label. If these tie too, the
    first name wins.

    Args:
        cast: at least one vote.
        name: returns what a vote is for.
    """
    counts = Counter(name(vote) for vote in cast)
    completed = {name(vote): vote.updated_at for vote in sorted(cast, key=lambda vote: vote.updated_at)}
    winner = min(counts, key=lambda choice: (-counts[choice], completed[choice], choice))
    return [vote for vote in cast if name(vote) == winner]


def imported(annotations: Iterable[Annotation]) -> Consensus:
    """Return the newest imported label that counts, or no label."""
    labels = [
        annotation
        for annotation in annotations
        if annotation.source == IMPORTED and not (annotation.deleted or annotation.problem)
    ]
    newest = max(labels, key=_age, default=None)
    if newest is None or newest.label is None:
        return Consensus(None, 0.0, 0)
    return Consensus(newest.label, 1.0, 0)


def _age(annotation: Annotation) -> tuple[str, int]:
    return annotation.updated_at, annotation.number
