"""Combine the annotations of one image into its classes: a vote for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.labelling.consensus import Consensus, imported, majority, votes
from octospoon.domain.task_types.multilabel.label import ClassNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import Annotation

_FORM = ClassNames()


def consensus(annotations: Iterable[Annotation], history: ClassHistory) -> Consensus:
    """Return the classes that most annotators of an image chose.

    Each class is a vote of its own, with or without it; see `majority` for ties. Merged classes are one vote.
    The label keeps the names that the annotators chose, so that an undone change brings them back. The
    agreement is the mean over the present classes that at least one annotator chose, 1 if nobody chose any.

    Args:
        annotations: of one image.
        history: the project's classes.
    """
    given = list(annotations)
    cast = votes(given)
    if not cast:
        return imported(given)
    chosen = {vote.annotation_id: _FORM.read(vote.label or "[]") for vote in cast}
    label: set[str] = set()
    agreements = []
    for names, counts in _groups(chosen.values(), history):
        winners, agreed = _vote(cast, chosen, names)
        label |= agreed
        if counts:
            agreements.append(winners / len(cast))
    agreement = sum(agreements) / len(agreements) if agreements else 1.0
    return Consensus(_FORM.write(frozenset(label)), agreement, len(cast))


def _vote(
    cast: Sequence[Annotation], chosen: Mapping[str, frozenset[str]], names: frozenset[str]
) -> tuple[int, frozenset[str]]:
    """Return how many votes agree on whether one class is present, and the names that they chose for it.

    Args:
        cast: the votes.
        chosen: the names of each vote, by annotation.
        names: those that mean the class.
    """

    def held(vote: Annotation) -> str:
        return ",".join(sorted(chosen[vote.annotation_id] & names))

    winners = majority(cast, lambda vote: str(bool(held(vote))))
    first = majority(winners, held)[0]
    return len(winners), chosen[first.annotation_id] & names


def _groups(
    answers: Iterable[frozenset[str]], history: ClassHistory
) -> Iterator[tuple[frozenset[str], bool]]:
    """Yield the chosen names that mean one class now, and whether it counts: a retired one does not."""
    names = sorted({name for answer in answers for name in answer})
    present: dict[str, set[str]] = {}
    for name in names:
        if (current := history.current(name)) is not None:
            present.setdefault(current, set()).add(name)
        else:
            yield frozenset([name]), False
    for group in present.values():
        yield frozenset(group), True
