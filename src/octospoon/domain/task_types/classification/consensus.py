"""Combine the annotations of one image into its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.labelling.consensus import Consensus, imported, majority, votes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import Annotation


def consensus(annotations: Iterable[Annotation], history: ClassHistory) -> Consensus:
    """Return the class that most annotators of an image chose, as most of its voters named it.

    See `votes` for who votes, and `majority` for ties. A vote for a retired class counts only where there are
    no others. An imported label counts only while no annotator has an answer.

    Args:
        annotations: of one image.
        history: the project's classes; votes for merged classes count together.
    """
    given = list(annotations)
    cast = votes(given)
    if not cast:
        return imported(given)
    counted = [vote for vote in cast if history.current(vote.label or "") is not None] or cast
    winners = majority(counted, lambda vote: history.current(vote.label or "") or vote.label or "")
    (label, *_) = (vote.label for vote in majority(winners, lambda vote: vote.label or ""))
    return Consensus(label, len(winners) / len(counted), len(counted))
