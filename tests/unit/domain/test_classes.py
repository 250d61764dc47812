"""The history of a project's classes: what recorded labels and stored predictions mean now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.class_translation import translation
from octospoon.domain.labelling.classes import LEAST, ClassHistory
from octospoon.domain.task_types.classification import CLASSIFICATION

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = ("cat", "dog", "owl")
NAMES = (*FIRST, "hound", "kitten", "bird", "fox")
HISTORY = ClassHistory(FIRST)

_name = st.sampled_from(NAMES)
_names = st.lists(_name, min_size=1, max_size=3)
_steps = st.lists(
    st.one_of(
        _names.map(lambda names: lambda history: history.add(names, 1.0)),
        st.tuples(_name, _name).map(lambda pair: lambda history: history.rename(*pair, 1.0)),
        st.tuples(_names, _name).map(lambda pair: lambda history: history.merge(*pair, 1.0)),
        _names.map(lambda names: lambda history: history.retire(names, 1.0)),
        st.just(lambda history: history.undo(2.0)),
    ),
    max_size=12,
)
Step = "Callable[[ClassHistory], ClassHistory]"


def changed(history: ClassHistory, steps: list[Callable[[ClassHistory], ClassHistory]]) -> ClassHistory:
    """Apply the changes that are allowed, and skip the others."""
    for step in steps:
        try:
            history = step(history)
        except BadRequest:
            continue
    return history


def meanings(history: ClassHistory) -> dict[str, str | None]:
    return {name: history.current(name) for name in NAMES if history.of(name)}


@given(_steps, st.sampled_from(range(4)), _names, _name)
def test_undo_gives_every_label_its_earlier_class(
    steps: list[Callable[[ClassHistory], ClassHistory]], kind: int, names: list[str], into: str
) -> None:
    before = changed(HISTORY, steps)
    change: list[Callable[[ClassHistory], ClassHistory]] = [
        lambda history: history.add(names, 3.0),
        lambda history: history.rename(names[0], into, 3.0),
        lambda history: history.merge(names, into, 3.0),
        lambda history: history.retire(names, 3.0),
    ]
    after = changed(before, [change[kind]])
    if after == before:
        return
    undone = after.undo(4.0)

    assert undone.names == before.names
    assert {name: undone.current(name) for name in meanings(before)} == meanings(before)
    assert undone.revision > after.revision > before.revision


@given(_steps)
def test_no_history_loses_a_label_or_most_classes(
    steps: list[Callable[[ClassHistory], ClassHistory]],
) -> None:
    history = changed(HISTORY, steps)

    assert len(set(history.names)) == len(history.names) >= LEAST
    for own in history.known.values():
        for name in own.names:
            assert history.of(name) == own, "a name belongs to one class"
            assert history.current(name) in (None, *history.names)
    assert all(history.current(name) == name for name in history.names)
    assert ClassHistory(history.first, history.changes) == history
    while any(not change.undone for change in history.changes):
        history = history.undo(9.0)
    assert {name: history.current(name) for name in FIRST} == dict(zip(FIRST, FIRST, strict=True))
    assert history.names == FIRST


@given(_steps, st.permutations(FIRST))
def test_translated_probabilities_are_probabilities(
    steps: list[Callable[[ClassHistory], ClassHistory]], model: list[str]
) -> None:
    history = changed(HISTORY, steps)
    shares = np.random.default_rng(len(steps)).dirichlet(np.ones(3), 5).astype(np.float32)

    translated = translation(history, model)
    new = translated(shares)

    assert set(translated.names) <= set(history.names)
    assert list(translated.names) == [name for name in history.names if name in translated.names]
    assert new.shape == (5, len(translated.names))
    assert new.dtype == np.float32
    if translated.names:
        assert np.allclose(new.sum(axis=1), 1.0, atol=1e-6)


def test_a_chain_of_rename_merge_and_retire() -> None:
    renamed = HISTORY.rename("dog", "hound", 1.0)
    assert (renamed.names, renamed.stored) == (("cat", "hound", "owl"), {"hound": "dog"})
    assert (renamed.current("dog"), renamed.current("hound")) == ("hound", "hound")

    merged = renamed.merge(["cat", "hound"], "pet", 2.0)
    assert merged.names == ("owl", "pet")
    assert (merged.current("dog"), merged.current("cat"), merged.current("pet")) == ("pet", "pet", "pet")
    assert merged.shown("dog") == "hound"

    more = merged.add(["fox"], 3.0).retire(["pet"], 4.0)
    assert more.names == ("owl", "fox")
    assert (more.current("dog"), more.current("hound"), more.current("pet")) == (None, None, None)

    back = more.undo(5.0).undo(5.0).undo(5.0)
    assert back.names == ("cat", "hound", "owl")
    assert (back.current("dog"), back.current("cat")) == ("hound", "cat")
    assert (back.current("pet"), back.current("fox")) == (None, None), "kept, and counted for no class"
    assert back.undo(6.0).current("hound") == "dog", "a label with the newer name means the same class"


def test_a_merge_into_one_of_the_classes_keeps_its_place() -> None:
    merged = HISTORY.merge(["owl"], "cat", 1.0)
    assert merged.names == ("cat", "dog")
    assert merged.current("owl") == "cat"
    assert merged.undo(2.0).names == FIRST


def test_an_undone_merge_can_be_made_again() -> None:
    again = HISTORY.merge(["cat", "dog"], "pet", 1.0).undo(2.0).merge(["cat", "dog"], "pet", 3.0)
    assert again.names == ("owl", "pet")
    assert again.current("pet") == "pet"
    assert again.undo(4.0).current("pet") is None


def test_a_retired_class_comes_back_with_its_labels() -> None:
    history = HISTORY.retire(["cat"], 1.0)
    assert (history.names, history.current("cat")) == (("dog", "owl"), None)
    assert history.add(["cat"], 2.0).names == FIRST
    assert history.add(["cat"], 2.0).current("cat") == "cat"


@pytest.mark.parametrize(
    "repeated",
    [
        lambda history: history.add(["fox"], 1.0),
        lambda history: history.rename("dog", "hound", 1.0),
        lambda history: history.merge(["cat", "dog"], "pet", 1.0),
        lambda history: history.retire(["cat"], 1.0),
    ],
)
def test_a_repeated_change_changes_nothing(repeated: Callable[[ClassHistory], ClassHistory]) -> None:
    once = repeated(HISTORY)
    assert once != HISTORY
    assert repeated(once) == once


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda history: history.rename("fox", "wolf", 1.0), "fox is not a class of the project"),
        (lambda history: history.rename("cat", "dog", 1.0), "dog is or was a name of dog"),
        (lambda history: history.rename("dog", "hound", 1.0).add(["dog"], 2.0), "dog was a name of hound"),
        (lambda history: history.merge(["cat", "dog"], "pet", 1.0).add(["cat"], 2.0), "is merged into pet"),
        (lambda history: history.merge(["cat"], "cat", 1.0), "merge at least 2 classes"),
        (lambda history: history.merge(["cat"], "pet", 1.0), "merge at least 2 classes"),
        (lambda history: history.merge(FIRST, "pet", 1.0), "a project needs at least 2 classes"),
        (lambda history: history.retire(["cat", "dog"], 1.0), "a project needs at least 2 classes"),
        (lambda history: history.undo(1.0), "there is no change"),
    ],
)
def test_a_change_that_would_mislead_is_refused(
    change: Callable[[ClassHistory], ClassHistory], message: str
) -> None:
    with pytest.raises(BadRequest, match=message):
        change(HISTORY)


def test_probabilities_are_added_for_merges_and_dropped_for_retirements() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]], np.float32)

    merged = translation(HISTORY.merge(["cat", "owl"], "pet", 1.0), FIRST)
    assert merged.names == ("dog", "pet")
    assert np.allclose(merged(shares), [[0.3, 0.7], [0.0, 1.0]])

    retired = translation(HISTORY.retire(["owl"], 1.0), FIRST)
    assert np.allclose(retired(shares), [[0.625, 0.375], [0.5, 0.5]])

    added = translation(HISTORY.add(["fox"], 1.0), FIRST)
    assert added.names == FIRST
    assert added(shares) is shares


def test_unknown_classes_stand_for_themselves() -> None:
    unknown = ClassHistory()
    assert (unknown.names, unknown.current("cat")) == ((), "cat")
    assert translation(unknown, ("b", "a")).names == ("b", "a")


def test_a_recorded_name_tells_its_class_and_fate() -> None:
    history = HISTORY.rename("dog", "hound", 1.0).merge(["cat", "owl"], "pet", 2.0).add(["fox"], 3.0)

    assert [history.shown(name) for name in ("dog", "cat", "pet", "wolf")] == ["hound", "cat", "pet", "wolf"]
    assert [history.fate(name) for name in ("dog", "cat", "wolf")] == ["", "merged into pet", ""]
    assert CLASSIFICATION.labels.same("cat", "owl", history)
    assert CLASSIFICATION.labels.same("dog", "hound", history)
    assert CLASSIFICATION.labels.same("wolf", "wolf", history)
    assert not CLASSIFICATION.labels.same("dog", "cat", history)
    assert not CLASSIFICATION.labels.same("wolf", "elk", history)
    assert history.retire(["fox"], 4.0).fate("fox") == "retired"
    assert history.retire(["pet"], 4.0).fate("cat") == "merged into a retired class"
