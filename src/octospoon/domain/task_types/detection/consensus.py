"""Combine the annotations of one image into its boxes: a vote for each object."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.domain.labelling.consensus import Consensus, imported, majority, votes
from octospoon.domain.task_types.detection.assignment import pairs
from octospoon.domain.task_types.detection.geometry import overlaps
from octospoon.domain.task_types.detection.label import Box, Boxes, boxes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import Annotation

SAME = 0.5
"""Boxes of two annotators are one object if they overlap at least this much."""
_FORM = Boxes()


class _Drawn(NamedTuple):
    """One annotator's box of an object."""

    vote: Annotation
    box: Box


def consensus(annotations: Iterable[Annotation], history: ClassHistory) -> Consensus:
    """Return the objects that most annotators of an image drew.

    The boxes of the annotators are matched one annotator after the other, the earliest answer first, by their
    overlap (Hungarian method). Each object is a vote of its own, with or without it, and so is its class; see
    `majority` for ties. Its place is the mean of its boxes. Of two answers the earlier has the place, so that
    a late second opinion changes no label.

    The agreement is the mean over the annotators of their `likeness` to the label.

    Args:
        annotations: of one image.
        history: the project's classes; merged ones are one class. Boxes keep the names that the annotators
            chose, so that an undone change brings them back.
    """
    given = list(annotations)
    cast = sorted(votes(given), key=lambda vote: (vote.updated_at, vote.annotation_id))
    if not cast:
        return imported(given)
    answers = [_FORM.read(vote.label or "[]") for vote in cast]
    objects: list[list[_Drawn]] = []
    for vote, answer in zip(cast, answers, strict=True):
        _add(objects, vote, answer, history)
    kept = [_agreed(drawn, cast, history) for drawn in objects if _present(drawn, cast)]
    label = boxes(kept)
    alike = [likeness(answer, label, history) for answer in answers]
    return Consensus(_FORM.write(label), sum(alike) / len(alike), len(cast))


def likeness(first: Sequence[Box], second: Sequence[Box], history: ClassHistory) -> float:
    """Return how alike two labels are, in [0, 1]: the sum of overlaps over the number of objects.

    It is the mean overlap of the matched boxes times the share of objects that are matched. Boxes of
    different classes match nothing. Two labels without boxes are alike.

    Args:
        first: boxes.
        second: boxes.
        history: the project's classes; boxes of retired classes do not count.
    """
    left, right = (_counted(label, history) for label in (first, second))
    shares = overlaps(_places(left), _places(right))
    same = np.array([[a.name == b.name for b in right] for a in left], bool).reshape(shares.shape)
    matched = pairs(np.where(same & (shares >= SAME), shares, 0.0))
    objects = len(left) + len(right) - len(matched)
    return sum(float(shares[pair]) for pair in matched) / objects if objects else 1.0


def _add(objects: list[list[_Drawn]], vote: Annotation, answer: Sequence[Box], history: ClassHistory) -> None:
    """Add an annotator's boxes to the objects that they overlap most with, or as objects of their own.

    A pair of different classes counts half, so that of two objects in one place each finds its own.
    """
    shares = overlaps(_places(answer), np.array([_middle(drawn) for drawn in objects]).reshape(-1, 4))
    names = [{_meaning(mark.box.name, history) for mark in drawn} for drawn in objects]
    same = [[_meaning(box.name, history) in known for known in names] for box in answer]
    gains = shares * np.where(np.array(same, bool).reshape(shares.shape), 1.0, 0.5)
    matched = dict(pairs(np.where(shares >= SAME, gains, 0.0)))
    for at, box in enumerate(answer):
        if at in matched:
            objects[matched[at]].append(_Drawn(vote, box))
        else:
            objects.append([_Drawn(vote, box)])


def _present(drawn: Sequence[_Drawn], cast: Sequence[Annotation]) -> bool:
    """Return whether most annotators drew an object; see `majority` for ties."""
    having = {mark.vote.annotation_id for mark in drawn}
    winners = majority(cast, lambda vote: str(vote.annotation_id in having))
    return winners[0].annotation_id in having


def _agreed(drawn: Sequence[_Drawn], cast: Sequence[Annotation], history: ClassHistory) -> Box:
    """Return the class of an object that most of its annotators chose, and its place.

    A retired class counts only where there are no others.
    """
    names = {mark.vote.annotation_id: mark.box.name for mark in drawn}
    counted = [mark.vote for mark in drawn if history.current(mark.box.name) is not None]
    winners = majority(
        counted or [mark.vote for mark in drawn],
        lambda vote: _meaning(names[vote.annotation_id], history),
    )
    chosen = majority(winners, lambda vote: names[vote.annotation_id])
    place = drawn[0].box[1:] if len(cast) == 2 else _middle(drawn)
    return Box(names[chosen[0].annotation_id], *map(float, place))


def _middle(drawn: Sequence[_Drawn]) -> npt.NDArray[np.float64]:
    """Return the mean place of an object, float64 [4]."""
    middle: npt.NDArray[np.float64] = _places([mark.box for mark in drawn]).mean(axis=0)
    return middle


def _meaning(name: str, history: ClassHistory) -> str:
    """Return the class that a name counts for; its own name if that class is retired."""
    return history.current(name) or name


def _counted(label: Sequence[Box], history: ClassHistory) -> list[Box]:
    """Return the boxes of the classes that count, under their present names."""
    return list(_FORM.renamed(tuple(label), history.current) or ())


def _places(label: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Return the places of boxes, float64 [G, 4]."""
    return np.array([box[1:] for box in label], np.float64).reshape(-1, 4)
