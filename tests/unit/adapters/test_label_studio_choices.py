from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octospoon.adapters.label_studio.choices import choice, read, reduced
from octospoon.domain.labelling.answers import (
    AMBIGUOUS_CLASS,
    NO_CLASS,
    OTHER_CONTROL,
    SEVERAL_CLASSES,
    UNKNOWN_CLASS,
    Answer,
)
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.interface import Choice, Interface

CLASSES = ("cat", "dog")
HISTORY = ClassHistory(CLASSES)
ALIASES = Interface((Choice("a cat", "cat"), Choice("dog", "d1"), Choice("cat", "dog"), Choice("owl"))).shown


def region(name: str, *choices: object, **more: object) -> dict:
    return {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": [*choices]}} | more


def ours(*choices: object, **more: object) -> dict:
    return region("label", *choices, **more)


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ([choice("cat")], Answer("cat")),
        ([region("quality", "sharp"), ours("cat")], Answer("cat")),
        ([ours("cat"), region("other", "dog")], Answer("cat")),
        ([ours("cat"), ours("cat")], Answer("cat")),
        ([ours(["animal", "cat"])], Answer("cat")),
        ([region("other", "cat")], Answer(None, OTHER_CONTROL)),
        ([ours("cat", to_name="text")], Answer(None, OTHER_CONTROL)),
        ([ours("cat", type="labels")], Answer(None, OTHER_CONTROL)),
        ([{"type": "textarea", "value": {"text": ["cat"]}}], Answer(None, OTHER_CONTROL)),
        ([ours("cat", "dog")], Answer(None, SEVERAL_CLASSES)),
        ([ours("cat"), ours("dog")], Answer(None, SEVERAL_CLASSES)),
        ([ours("cow")], Answer(None, UNKNOWN_CLASS)),
        ([], Answer(None, NO_CLASS)),
        (None, Answer(None, NO_CLASS)),
        ([ours()], Answer(None, NO_CLASS)),
        ([ours(value=None)], Answer(None, NO_CLASS)),
        ([ours(value={"choices": "cat"})], Answer(None, NO_CLASS)),
        (["cat"], Answer(None, OTHER_CONTROL)),
    ],
)
def test_only_our_own_control_is_read(result: list | None, answer: Answer) -> None:
    result = json.loads(json.dumps(result))

    assert read(result, HISTORY) == answer
    assert read(reduced(result, {}), HISTORY) == answer


@pytest.mark.parametrize(
    ("stored", "answer"),
    [
        ("cat", Answer("cat")),
        ("d1", Answer("dog")),
        ("dog", Answer(None, AMBIGUOUS_CLASS)),
        ("owl", Answer(None, UNKNOWN_CLASS)),
        ("hen", Answer(None, UNKNOWN_CLASS)),
    ],
)
def test_class_may_be_an_alias_or_its_value(stored: str, answer: Answer) -> None:
    result = reduced([ours(stored)], ALIASES)

    assert read(result, HISTORY) == answer
    assert reduced(result, ALIASES) == result


def test_a_choice_is_predicted_by_the_name_that_is_stored() -> None:
    interface = Interface((Choice("cat", "c1"), Choice("a dog", "dog"), Choice("owl"), Choice("hen", "owl")))

    stored = interface.stored

    assert (stored["cat"], stored["dog"]) == ("c1", "dog")
    assert "owl" not in stored, "two choices have this name"


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from_name", "to_name", "type", "value", "choices", "shown"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.lists(anything | st.builds(lambda value: ours(value=value), anything), max_size=4))
def test_any_result_is_read(result: list) -> None:
    assert read(reduced(result, {}), HISTORY).label in (None, *CLASSES)
    assert read(result, HISTORY).label in (None, *CLASSES)
