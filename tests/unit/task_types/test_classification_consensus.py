from __future__ import annotations

from itertools import permutations

from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation
from octospoon.domain.task_types.classification.consensus import consensus


def annotation(annotator: str, label: str | None, at: int, *, deleted: bool = False) -> Annotation:
    return Annotation(
        "k", "e", f"{annotator}-{at}", at, f"2025-01-01T00:00:{at:02d}Z", annotator, label, deleted
    )


def agreed(*annotations: Annotation) -> Consensus:
    """Return the consensus, and check that it does not depend on the order of delivery."""
    results = {consensus(order, ClassHistory()) for order in permutations(annotations)}
    assert len(results) == 1
    return results.pop()


def test_nobody_answered():
    assert consensus([], ClassHistory()) == Consensus(None, 0.0, 0)
    assert agreed(annotation("a", None, 1), annotation("b", "cat", 2, deleted=True)) == Consensus(
        None, 0.0, 0
    )


def test_the_majority_wins():
    votes = annotation("a", "cat", 1), annotation("b", "dog", 2), annotation("c", "dog", 3)
    assert agreed(*votes) == Consensus("dog", 2 / 3, 3)


def test_an_annotator_has_one_vote_the_newest():
    assert agreed(
        annotation("a", "cat", 1), annotation("a", "dog", 2), annotation("a", "cow", 3)
    ) == Consensus("cow", 1.0, 1)


def test_later_skip_withdraws_the_vote_and_its_deletion_restores_it():
    assert agreed(annotation("a", "cat", 1), annotation("a", None, 2)) == Consensus(None, 0.0, 0)
    assert agreed(annotation("a", "cat", 1), annotation("a", "dog", 2, deleted=True)) == Consensus(
        "cat", 1.0, 1
    )


def test_a_tie_goes_to_the_class_that_was_complete_first():
    assert agreed(annotation("a", "dog", 1), annotation("b", "cat", 2)).label == "dog"
    votes = (
        annotation("a", "cat", 1),
        annotation("b", "dog", 2),
        annotation("c", "dog", 3),
        annotation("d", "cat", 4),
    )
    assert agreed(*votes) == Consensus("dog", 0.5, 4)


def test_a_tie_at_the_same_second_goes_by_name():
    assert agreed(annotation("a", "dog", 1), annotation("b", "cat", 1)).label == "cat"


def test_annotations_without_an_annotator_are_voters_of_their_own():
    for unknown in ("", "None"):
        votes = annotation("c", "dog", 1), annotation(unknown, "cat", 2), annotation(unknown, "cat", 3)
        assert agreed(*votes) == Consensus("cat", 2 / 3, 3)
