from __future__ import annotations

import json
from pathlib import Path

import pytest

from octospoon.adapters.label_studio.control import Control, reduced_annotation
from octospoon.adapters.label_studio.controls import control_of
from octospoon.adapters.label_studio.interface import OtherKind
from octospoon.adapters.label_studio.multiple_choice import MultipleChoice
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.adapters.label_studio.webhook import parse
from octospoon.domain.labelling.answers import AMBIGUOUS_CLASS, OTHER_CONTROL, UNKNOWN_CLASS, Answer
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.interface import Interface
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.ports.labelling import AnnotationBody

CONTROL = MultipleChoice()
HISTORY = ClassHistory(("cat", "dog", "owl"))


def region(name: str, *choices: object) -> dict:
    return {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": [*choices]}}


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ([region("label", "cat")], Answer('["cat"]')),
        ([region("label", "owl", "cat")], Answer('["cat","owl"]')),
        ([], Answer("[]")),
        (None, Answer("[]")),
        ([region("label")], Answer("[]")),
        ([region("quality", "poor"), region("label", "dog")], Answer('["dog"]')),
        ([region("quality", "poor")], Answer(None, OTHER_CONTROL)),
        ([{"type": "polygonlabels", "value": {"points": []}}], Answer(None, OTHER_CONTROL)),
        ([{"type": "relation"}, region("label", "dog")], Answer('["dog"]')),
        ([region("label", "cow")], Answer(None, UNKNOWN_CLASS)),
        ([region("label", "cow", "cat")], Answer('["cat"]', left_out=1)),
    ],
)
def test_every_choice_is_read_and_none_is_a_label(result: list | None, answer: Answer) -> None:
    result = json.loads(json.dumps(result))

    assert CONTROL.read(result, HISTORY) == answer
    assert CONTROL.read(CONTROL.reduced(result, {}), HISTORY) == answer


def test_a_choice_that_could_be_two_classes_gives_no_label() -> None:
    result = CONTROL.reduced([region("label", "cat")], {"cat": "dog"})

    assert CONTROL.read(result, HISTORY) == Answer(None, AMBIGUOUS_CLASS)


@pytest.mark.parametrize("label", ["[]", '["cat"]', '["cat","owl"]'])
def test_a_written_label_is_read_back(label: str) -> None:
    stored = {"cat": "c1", "dog": "dog", "owl": "o1"}
    renamed = HISTORY.rename("cat", "c1", 1.0).rename("owl", "o1", 2.0)

    assert CONTROL.read(CONTROL.result(label), HISTORY) == Answer(label)
    assert CONTROL.read(CONTROL.result(label, stored), renamed) == Answer(label)
    assert CONTROL.result('["cow"]', stored) is None


def test_each_control_refuses_or_knows_the_interface_of_the_other() -> None:
    multiple, single = CONTROL.written(("cat", "dog")), SingleChoice().written(("cat", "dog"))

    assert CONTROL.parsed(multiple).multiple
    assert not CONTROL.parsed(multiple).required, "an empty answer is a label"
    with pytest.raises(OtherKind, match=r"one of classification, .* one class: multilabel needs"):
        CONTROL.parsed(single)
    with pytest.raises(OtherKind, match=r"one of multilabel, .* any classes: classification needs"):
        SingleChoice().parsed(multiple)
    boxes = single.replace("Choices", "RectangleLabels").replace("Choice ", "Label ")
    for control in (CONTROL, SingleChoice()):
        with pytest.raises(OtherKind, match="one of detection, where annotators draw boxes"):
            control.parsed(boxes)
        assert not control.wrote(boxes)
    assert [CONTROL.wrote(multiple), CONTROL.wrote(single)] == [True, False]
    assert [SingleChoice().wrote(multiple), SingleChoice().wrote(single)] == [False, True]
    assert isinstance(control_of(MULTILABEL), MultipleChoice)


def test_an_empty_submit_is_a_label_and_a_skip_none() -> None:
    recorded = Path("tests/payloads/label-studio-page/multiple-choice.json").read_text()
    answers = []
    for body in json.loads(recorded):
        (message,) = parse(json.dumps(body).encode(), CONTROL)
        (annotation,) = message.annotations
        skipped = annotation.was_cancelled
        answers.append("skip" if skipped else CONTROL.read(annotation.result, HISTORY).label)

    assert answers == ["[]", "skip", "[]", '["cat","owl"]', "skip"]


def test_an_empty_answer_must_be_possible_for_several_classes_alone() -> None:
    for control in (CONTROL, SingleChoice()):
        assert control.problems(control.parsed(control.written(("cat", "dog")))) == []
    (must,) = CONTROL.problems(Interface((), required=True, multiple=True))
    (may,) = SingleChoice().problems(Interface((), required=False))
    assert 'remove required="true"' in must
    assert 'add required="true"' in may


@pytest.mark.parametrize("control", [CONTROL, SingleChoice()])
def test_shapes_and_relations_are_left_out_and_counted(control: Control) -> None:
    kinds = ("polygonlabels", "brush", "brushlabels", "relation", "rectanglelabels", "keypointlabels")
    result = [{"type": kind, "value": {}} for kind in kinds]
    others = [region("quality", "poor"), {"type": "rating", "value": {"rating": 3}}, {"type": 7}, 7]

    body = AnnotationBody(1, result=[*result, *others, region("label", "cat")])
    reduced = reduced_annotation(body, {}, control)

    assert reduced.left_out == len(kinds)
    assert control.read(reduced.result, HISTORY).label in ("cat", '["cat"]')
    assert reduced_annotation(AnnotationBody(1, result=None), {}, control).left_out == 0
