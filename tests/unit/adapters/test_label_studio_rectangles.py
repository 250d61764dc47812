from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octospoon.adapters.label_studio.interface import OtherKind
from octospoon.adapters.label_studio.multiple_choice import MultipleChoice
from octospoon.adapters.label_studio.rectangle_labels import RectangleLabels
from octospoon.adapters.label_studio.rectangles import KIND, MOST_BOXES
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.adapters.label_studio.webhook import parse
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.answers import Answer
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.interface import Choice
from octospoon.domain.task_types.detection.label import Box, Boxes, boxes

PAYLOADS = Path(__file__).parents[2] / "payloads" / "label-studio"
CONTROL, FORM = RectangleLabels(), Boxes()
CLASSES = ClassHistory(("cat", "dog"))
NAN = float("nan")
POLYGON = {"from_name": "shape", "to_name": "image", "type": "polygonlabels", "value": {"points": []}}
RELATION = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}


def region(x: object, y: object, width: object, height: object, *names: str, **also: object) -> dict:
    """Return a rectangle as Label Studio stores it."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, KIND: list(names)}
    kept = {"id": "i", "from_name": "label", "to_name": "image", "type": KIND, "origin": "manual"}
    return kept | {"original_width": 600, "original_height": 400, "image_rotation": 0, "value": value | also}


def read(*regions: object) -> Answer:
    """Return the answer, which must be the same from the reduced result."""
    whole, short = CONTROL.read(regions, CLASSES), CONTROL.reduced(regions, {})
    assert CONTROL.read(json.loads(json.dumps(short)), CLASSES) == whole
    assert CONTROL.reduced(short, {}) == short
    return whole


def test_percentages_become_shares_of_the_image() -> None:
    answer = read(region(10, 20, 30, 40, "cat"), region(0, 0, 100, 100, "dog"))

    assert answer == Answer('[["cat",0.1,0.2,0.4,0.6],["dog",0.0,0.0,1.0,1.0]]')


def test_an_answer_without_boxes_is_an_image_without_objects() -> None:
    assert read() == Answer("[]")
    assert CONTROL.read(None, CLASSES) == Answer("[]")


side = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(st.tuples(st.sampled_from(["cat", "dog"]), side, side, side, side), max_size=4))
def test_boxes_return_from_label_studio_without_drift(drawn: list[tuple]) -> None:
    value = boxes(
        box
        for name, a, b, c, d in drawn
        if (box := Box(name, min(a, c), min(b, d), max(a, c), max(b, d))).x2 - box.x1 > 1e-6
        and box.y2 - box.y1 > 1e-6
    )

    label = FORM.write(value)
    for _ in range(3):
        written = json.loads(json.dumps(CONTROL.result(label)))
        again = read(*written)
        assert again == Answer(label)
    for box, sent in zip(value, written, strict=True):
        place = sent["value"]
        assert place["x"] / 100 == pytest.approx(box.x1, abs=1e-6)
        assert (place["x"] + place["width"]) / 100 == pytest.approx(box.x2, abs=1e-6)
        assert (place["y"] + place["height"]) / 100 == pytest.approx(box.y2, abs=1e-6)
        assert place[KIND] == [box.name]
    assert len({sent["id"] for sent in written}) == len(value)


def test_boxes_beyond_the_edge_are_clipped() -> None:
    assert read(region(-10, 20, 30, 90, "cat")) == Answer('[["cat",0.0,0.2,0.2,1.0]]')


@pytest.mark.parametrize(
    "broken",
    [
        region(10, 20, 0, 40, "cat"),
        region(10, 20, 1e-6, 40, "cat"),
        region(10, 20, -5, 40, "cat"),
        region(10, 20, 30, -1, "cat"),
        region(NAN, 20, 30, 40, "cat"),
        region(10, None, 30, 40, "cat"),
        region(10, "20", 30, 40, "cat"),
        region(10, 20, True, 40, "cat"),
        region(10, 20, float("inf"), 40, "cat"),
        region(101, 20, 30, 40, "cat"),
        region(10, -60, 30, 40, "cat"),
        region(10, 20, 30, 40, "cat") | {"value": None},
    ],
)
def test_a_box_without_an_area_is_refused_alone(broken: dict) -> None:
    assert read(broken, region(10, 20, 30, 40, "dog")) == Answer(
        '[["dog",0.1,0.2,0.4,0.6]]', "", 1, "1 with a box that has no area"
    )
    assert read(broken) == Answer(None, "box-without-area", 1, "1 with a box that has no area")


def test_other_shapes_and_unknown_classes_are_left_out_and_noted() -> None:
    box = region(10, 20, 30, 40, "cat")
    unknown, unnamed, two = (region(0, 0, 9, 9, *names) for names in (("cow",), (), ("cat", "dog")))

    answer = read(POLYGON, box, RELATION, unknown, unnamed, two)

    assert answer.label == '[["cat",0.1,0.2,0.4,0.6]]'
    assert (answer.problem, answer.left_out) == ("", 5)
    assert answer.note == (
        "1 with a class that the stack does not have, 1 with several classes, "
        "2 by a control that is not octospoon's, 1 with a box that has no class"
    )


def test_an_answer_of_which_nothing_is_left_does_not_count() -> None:
    assert read(POLYGON, RELATION).problem == "other-control"
    assert read(region(0, 0, 9, 9, "cow")).problem == "unknown-class"
    assert read("text", 7).problem == "other-control"


@pytest.mark.parametrize("rotation", [45, -90, 1e-3, "5"])
def test_an_answer_with_a_rotated_box_is_refused_by_name(rotation: object) -> None:
    turned = region(10, 20, 30, 40, "cat", rotation=rotation)

    assert read(turned, region(0, 0, 9, 9, "dog")) == Answer(None, "rotated-box")
    assert read(region(10, 20, 30, 40, "cat", rotation=360)).problem == ""
    assert read(region(10, 20, 30, 40, "cat") | {"image_rotation": 90}).problem == "rotated-box"


def test_too_many_boxes_are_refused_and_fit_into_a_message() -> None:
    many = [region(10.123456789012345, 20.123456789012345, 30, 40, "dog")] * (MOST_BOXES + 1)

    assert read(*many) == Answer(None, "too-many-boxes")
    whole = read(*many[:MOST_BOXES])
    assert len(FORM.read(whole.label or "")) == MOST_BOXES
    assert len(json.dumps(CONTROL.reduced(many, {}))) < 240_000
    long = [region(1, 2, 30, 40, "dog" * 100)] * MOST_BOXES
    assert len(json.dumps(CONTROL.reduced(long, {}))) < 240_000


def test_the_interface_asks_for_upright_boxes_of_the_classes() -> None:
    config = CONTROL.written(["kitten", "dog"], {"kitten": "cat"})
    interface = CONTROL.parsed(config)

    assert '<RectangleLabels name="label" toName="image" choice="single"' in config
    assert 'canRotate="false"' in config
    assert interface.choices == (Choice("kitten", "cat"), Choice("dog"))
    assert CONTROL.wrote(config, CLASSES.rename("cat", "kitten", 1.0))
    assert not CONTROL.wrote(config.replace("false", "true", 1), CLASSES.rename("cat", "kitten", 1.0))
    assert not CONTROL.wrote("<View/>")


def test_an_interface_without_our_rectangles_is_refused() -> None:
    with pytest.raises(BadRequest, match='lacks <RectangleLabels name="label" toName="image">'):
        CONTROL.parsed('<View><Image name="image" value="$image"/></View>')


def test_an_interface_of_another_task_type_is_refused_by_name() -> None:
    config = CONTROL.written(["cat", "dog"])

    for other in (SingleChoice(), MultipleChoice()):
        with pytest.raises(OtherKind, match="classification or multilabel, where annotators choose classes"):
            CONTROL.parsed(other.written(["cat", "dog"]))
        with pytest.raises(OtherKind, match="detection, where annotators draw boxes"):
            other.parsed(config)
    assert CONTROL.problems(CONTROL.parsed(config)) == []
    asked = config.replace("canRotate", 'required="true" canRotate')
    assert "remove required" in CONTROL.problems(CONTROL.parsed(asked))[0]


def test_renamed_classes_are_read_and_written_by_their_stored_names() -> None:
    renamed = CLASSES.rename("cat", "kitten", 1.0)
    sent = CONTROL.result('[["kitten",0.1,0.2,0.4,0.6]]', {"kitten": "cat", "dog": "dog"})

    assert sent is not None
    assert sent[0]["value"][KIND] == ["cat"]
    kept = CONTROL.reduced(sent, {"cat": "kitten"})
    assert kept[0]["shown"] == "kitten"
    assert CONTROL.read(kept, renamed) == Answer('[["cat",0.1,0.2,0.4,0.6]]')
    assert CONTROL.result('[["cow",0.1,0.2,0.4,0.6]]', {"dog": "dog"}) is None
    assert CONTROL.result("[]", {"dog": "dog"}) == []
    assert CONTROL.read(CONTROL.reduced(sent, {"cat": "dog"}), CLASSES).problem == "ambiguous-class"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # the red box was moved, the blue one stayed
        (
            "BOXES_MOVED",
            [("cat", 34.990108803165185, 30.011539729640617, 25, 50), ("dog", 62.5, 12.5, 25, 25)],
        ),
        ("BOXES_DELETED", []),
        # drawn over an image that its EXIF data turns: the predicted boxes fit the image as it is shown
        (
            "BOXES_DRAWN",
            [
                ("cat", 25, 25, 25, 50),
                ("dog", 5.044510385756677, 80.00329706561162, 14.935707220573693, 15.034619188921852),
                ("dog", 62.5, 12.5, 25, 25),
            ],
        ),
    ],
)
def test_answers_of_label_studio_s_editor_are_read(name: str, expected: list[tuple]) -> None:
    request = json.loads((PAYLOADS / f"{name}_ANNOTATION_CREATED.json").read_text())
    (message,) = parse(json.dumps(request["body"]).encode(), CONTROL)

    answer = CONTROL.read(message.annotations[0].result, CLASSES.rename("cat", "kitten", 1.0))

    assert (answer.problem, answer.left_out) == ("", 0)
    read = FORM.read(answer.label or "")
    assert [box.name for box in read] == [name for name, *_ in expected]
    for box, (_, x, y, width, height) in zip(read, expected, strict=True):
        shares = x / 100, y / 100, (x + width) / 100, (y + height) / 100
        assert box[1:] == pytest.approx(shares, abs=1e-6)
