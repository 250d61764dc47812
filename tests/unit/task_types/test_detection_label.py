"""What holds for a label of boxes alone: its value and its stored text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.detection.label import DECIMALS, Box, Boxes, boxes
from octospoon.domain.task_types.task_type import Labels

FORM, LABELS = Boxes(), Labels(Boxes())
HISTORY = ClassHistory(("cat", "dog", "owl"))
CAT, DOG = Box("cat", 0.1, 0.2, 0.5, 0.75), Box("dog", 0.0, 0.0, 1.0, 1.0)
STORED = '[["cat",0.1,0.2,0.5,0.75],["dog",0.0,0.0,1.0,1.0]]'


@st.composite
def any_box(draw: st.DrawFn) -> Box:
    """Draw a box of at least two units of the stored decimals."""
    unit = 10**-DECIMALS
    x1, y1 = (draw(st.floats(0, 1 - 2 * unit)) for _ in range(2))
    x2, y2 = (draw(st.floats(min(1.0, low + 2 * unit), 1)) for low in (x1, y1))
    return Box(draw(st.sampled_from(["cat", "dog", "a\"'[,é猫"])), x1, y1, x2, y2)


def test_the_text_is_a_sorted_list_without_spaces() -> None:
    assert FORM.write((DOG, CAT)) == FORM.write((CAT, DOG)) == STORED
    assert FORM.read(STORED) == (CAT, DOG)
    assert FORM.write(()) == "[]"
    assert FORM.read("[]") == ()


@given(st.lists(any_box(), max_size=5))
def test_any_boxes_are_read_as_they_were_rounded(drawn: list[Box]) -> None:
    value = boxes(drawn)
    text = FORM.write(value)

    assert FORM.read(text) == value
    assert FORM.write(FORM.read(text)) == text, "the text is canonical"
    for name, *shares in json.loads(text):
        near = [box for box in drawn if box.name == name]
        assert any(max(abs(a - b) for a, b in zip(box[1:], shares, strict=True)) <= 5.1e-8 for box in near)


def test_zeros_and_whole_numbers_have_one_text() -> None:
    assert FORM.write((Box("cat", -0.0, -1e-9, 1, 1),)) == '[["cat",0.0,0.0,1.0,1.0]]'
    assert FORM.write(FORM.read('[["cat", 0, 0, 1, 1]]')) == '[["cat",0.0,0.0,1.0,1.0]]'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cat",
        "{}",
        '"cat"',
        '["cat",0,0,1,1]',
        '[["cat",0,0,1]]',
        '[["cat",0,0,1,1,1]]',
        "[[1,0,0,1,1]]",
        '[["cat",0,0,true,1]]',
        '[["cat",0,0,"1",1]]',
        '[["cat",NaN,0,1,1]]',
        '[["cat",0,0,Infinity,1]]',
        '[["cat",0,0,1' + "0" * 400 + ",1]]",
        "[" * 100_000,
    ],
)
def test_what_is_no_list_of_boxes_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="is no label with boxes"):
        FORM.read(text)


@pytest.mark.parametrize(
    "box",
    [
        Box("cat", 0.5, 0.2, 0.5, 0.4),
        Box("cat", 0.5, 0.2, 0.3, 0.4),
        Box("cat", 0.1, 0.4, 0.3, 0.2),
        Box("cat", -0.1, 0.2, 0.3, 0.4),
        Box("cat", 0.1, 0.2, 1.1, 0.4),
        Box("cat", 0.1, 0.2, 0.1 + 1e-9, 0.4),
        Box("cat", 0.1, float("nan"), 0.3, 0.4),
    ],
)
def test_a_box_without_an_area_is_no_value(box: Box) -> None:
    with pytest.raises(BadRequest, match="has no area within the image"):
        FORM.write((CAT, box))


def test_boxes_follow_their_classes() -> None:
    label = FORM.write((CAT, DOG))
    renamed, retired = HISTORY.rename("cat", "zebra", 1.0), HISTORY.retire(["cat"], 1.0)
    merged = HISTORY.merge(["cat", "dog"], "pet", 1.0)

    assert LABELS.current(label, renamed) == FORM.write((DOG, CAT._replace(name="zebra")))
    assert LABELS.current(label, retired) == FORM.write((DOG,))
    assert LABELS.current(FORM.write((CAT,)), retired) == "[]", "none of the present objects is a label"
    assert LABELS.current(label, merged) == FORM.write((CAT._replace(name="pet"), DOG._replace(name="pet")))
    assert LABELS.current(label, merged.undo(2.0)) == label
    assert list(LABELS.fates(label, retired)) == ["cat is retired"]


def test_people_read_counts_of_objects() -> None:
    assert LABELS.shown(FORM.write((CAT, DOG, CAT._replace(x1=0.2))), HISTORY) == "2 × cat, 1 × dog"
    assert LABELS.shown("[]", HISTORY) == "no objects"
    assert LABELS.classes(STORED) == ("cat", "dog")
