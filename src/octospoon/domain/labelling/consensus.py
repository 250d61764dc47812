"""Combine the annotations of one image into its label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.labelling.imported import IMPORTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from octospoon.domain.labelling.tasks import Annotation


@dataclass(frozen=True, slots=True)
class Consensus:
    """The result of a vote of the annotators.

    Attributes:
        label: the class of the majority, as most of its voters named it; None without answers.
        agreement: share of the annotators who chose it, in (0, 1]; 0 without answers.
        annotators: number of annotators who answered; 0 without answers, and for an imported label.
    """

    label: str | None
    agreement: float
    annotators: int

    @property
    def imported(self) -> bool:
        """True for an imported label, which no annotator gave."""
        return self.label is not None and self.annotators == 0


def _itself(label: str) -> str | None:
    return label


def consensus(annotations: Iterable[Annotation], meaning: Callable[[str], str | None] = _itself) -> Consensus:
    """Return the majority label of an image's annotations.

    Each annotator has one vote, their newest answer. If the annotator's account was deleted, each annotation
    has its own vote. Deleted annotations do not count. Skips and empty answers withdraw the annotator's
    earlier vote.

    If classes tie, the class whose votes were complete first wins: the newest votes of the tied classes are
    compared, and the earliest wins. So a late second opinion does not change a label. If these tie too, the
    first name wins.

    An imported label counts only while no annotator has an answer.

    Args:
        annotations: of one image.
        meaning: returns the class that a recorded label stands for, such as a merged class; None for a
            retired class, whose votes count only where there are no others.
    """
    given = list(annotations)
    votes = [
        vote for vote in _newest(each for each in given if each.source != IMPORTED) if vote.label is not None
    ]
    if not votes:
        return _imported(given)
    counted = [vote for vote in votes if meaning(vote.label or "") is not None] or votes
    winners = _majority(counted, lambda vote: meaning(vote.label or "") or vote.label or "")
    (label, *_) = (vote.label for vote in _majority(winners, lambda vote: vote.label or ""))
    return Consensus(label, len(winners) / len(counted), len(counted))


def _majority(votes: list[Annotation], name: Callable[[Annotation], str]) -> list[Annotation]:
    """Return the votes for the name that wins; see `consensus`."""
    counts = Counter(name(vote) for vote in votes)
    completed = {name(vote): vote.updated_at for vote in sorted(votes, key=lambda vote: vote.updated_at)}
    winner = min(counts, key=lambda each: (-counts[each], completed[each], each))
    return [vote for vote in votes if name(vote) == winner]


def _imported(annotations: Iterable[Annotation]) -> Consensus:
    """Return the newest imported label that counts, or no label."""
    labels = [each for each in annotations if each.source == IMPORTED and not (each.deleted or each.problem)]
    newest = max(labels, key=_age, default=None)
    if newest is None or newest.label is None:
        return Consensus(None, 0.0, 0)
    return Consensus(newest.label, 1.0, 0)


def _newest(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return each annotator's newest answer."""
    newest: dict[str, Annotation] = {}
    for annotation in annotations:
        held = newest.get(annotation.voter)
        if not annotation.deleted and (held is None or _age(annotation) > _age(held)):
            newest[annotation.voter] = annotation
    return list(newest.values())


def _age(annotation: Annotation) -> tuple[str, int]:
    return annotation.updated_at, annotation.number
