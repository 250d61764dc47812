"""From what annotators said of one image to the image's label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from octospoon.domain.labelling.tasks import Annotation


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the annotators agree on.

    Attributes:
        label: the majority's class; None where nobody answered.
        agreement: share of the annotators who chose it, in (0, 1]; 0 where nobody answered.
        annotators: number of people who answered.
    """

    label: str | None
    agreement: float
    annotators: int


def consensus(annotations: Iterable[Annotation]) -> Consensus:
    """Return the majority label of an image's annotations.

    Every annotator has one vote, the newest of their answers. Where the annotator's account was deleted, each
    annotation has a vote of its own. Deleted annotations are no answers; skips and
    empty ones withdraw the vote that the same annotator gave earlier. Where classes tie, the one whose votes
    were complete first wins (the earliest of the tied classes' newest votes), so that a late second opinion
    does not overturn a label; then the first by name.
    """
    votes = [vote for vote in _newest(annotations) if vote.label is not None]
    if not votes:
        return Consensus(None, 0.0, 0)
    counts = Counter(vote.label for vote in votes)
    completed = {vote.label: vote.updated_at for vote in sorted(votes, key=lambda vote: vote.updated_at)}
    label = min(counts, key=lambda name: (-counts[name], completed[name], name or ""))
    return Consensus(label, counts[label] / len(votes), len(votes))


def _newest(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return each annotator's newest answer."""
    newest: dict[str, Annotation] = {}
    for each in annotations:
        held = newest.get(each.voter)
        if not each.deleted and (held is None or _age(each) > _age(held)):
            newest[each.voter] = each
    return list(newest.values())


def _age(annotation: Annotation) -> tuple[str, int]:
    return annotation.updated_at, annotation.number
