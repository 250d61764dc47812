from __future__ import annotations

from itertools import permutations

from octospoon.domain.labelling.consensus import Consensus, consensus
from octospoon.domain.labelling.tasks import Annotation


def said(annotator: str, label: str | None, at: int, *, deleted: bool = False) -> Annotation:
    return Annotation(
        "k", "e", f"{annotator}-{at}", at, f"2025-01-01T00:00:{at:02d}Z", annotator, label, deleted
    )


def agreed(*annotations: Annotation) -> Consensus:
    """The order of delivery never matters."""
    found = {consensus(each) for each in permutations(annotations)}
    assert len(found) == 1
    return found.pop()


def test_nobody_answered():
    assert consensus([]) == Consensus(None, 0.0, 0)
    assert agreed(said("a", None, 1), said("b", "cat", 2, deleted=True)) == Consensus(None, 0.0, 0)


def test_the_majority_wins():
    votes = said("a", "cat", 1), said("b", "dog", 2), said("c", "dog", 3)
    assert agreed(*votes) == Consensus("dog", 2 / 3, 3)


def test_an_annotator_has_one_vote_the_newest():
    assert agreed(said("a", "cat", 1), said("a", "dog", 2), said("a", "cow", 3)) == Consensus("cow", 1.0, 1)


def test_later_skip_withdraws_the_vote_and_its_deletion_restores_it():
    assert agreed(said("a", "cat", 1), said("a", None, 2)) == Consensus(None, 0.0, 0)
    assert agreed(said("a", "cat", 1), said("a", "dog", 2, deleted=True)) == Consensus("cat", 1.0, 1)


def test_a_tie_goes_to_the_class_that_was_complete_first():
    assert agreed(said("a", "dog", 1), said("b", "cat", 2)).label == "dog"
    votes = said("a", "cat", 1), said("b", "dog", 2), said("c", "dog", 3), said("d", "cat", 4)
    assert agreed(*votes) == Consensus("dog", 0.5, 4)


def test_a_tie_at_the_same_second_goes_by_name():
    assert agreed(said("a", "dog", 1), said("b", "cat", 1)).label == "cat"


def test_annotations_without_an_annotator_are_voters_of_their_own():
    for unknown in ("", "None"):
        votes = said("c", "dog", 1), said(unknown, "cat", 2), said(unknown, "cat", 3)
        assert agreed(*votes) == Consensus("cat", 2 / 3, 3)
