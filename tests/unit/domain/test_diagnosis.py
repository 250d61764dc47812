from __future__ import annotations

from dataclasses import replace

import pytest

from octospoon.domain.diagnosis import Webhook, classes_problem, model_problems, webhook_problems

URL, HEADER, SECRET = "https://hook", "X-Secret", "s3cret"
ACTIONS = ("CREATED", "DELETED")
GOOD = Webhook(URL, True, True, False, frozenset(ACTIONS), {HEADER: SECRET})
OTHER = Webhook("https://elsewhere", True, True, True, frozenset(), {})


def problems(*hooks: Webhook) -> list[str]:
    return webhook_problems(hooks, URL, HEADER, ACTIONS)


def test_a_webhook_as_it_must_be_has_no_problem() -> None:
    assert problems(OTHER, GOOD) == []
    assert problems(replace(GOOD, every_action=True, actions=frozenset())) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"active": False}, "it is not active"),
        ({"url": "https://old"}, "it calls https://old, not https://hook"),
        ({"headers": {}}, "it has no header X-Secret"),
        ({"payload": False}, "it sends no payload"),
        ({"actions": frozenset({"CREATED"})}, "it does not call for DELETED"),
    ],
)
def test_each_way_in_which_it_can_be_wrong(changed: dict, problem: str) -> None:
    found = problems(OTHER, replace(GOOD, **changed))

    assert found == [problem]
    assert SECRET not in problem


def test_a_webhook_that_is_missing_or_there_twice() -> None:
    assert problems() == problems(OTHER) == ["it is not registered"]
    assert problems(GOOD, GOOD) == ["it is registered 2 times"]


def test_classes_that_annotators_cannot_choose() -> None:
    assert classes_problem(("cat", "dog"), {"dog", "cat", "owl"}) == ""
    assert classes_problem(("cat", "dog", "owl"), {"dog"}) == "it does not offer cat, owl"


def test_a_model_and_its_pointer_must_say_the_same() -> None:
    two, one = ("cat", "dog"), ("b" * 64, "b" * 64)
    assert model_problems(served=two, wanted=two, file=two, backbones=one) == []
    assert model_problems(served=(), wanted=two, file=(), backbones=one) == [], "before the first training"

    (file,) = model_problems(served=two, wanted=two, file=(), backbones=one)
    (order,) = model_problems(served=two, wanted=("dog", "cat"), file=two, backbones=one)
    (backbone,) = model_problems(served=two, wanted=two, file=two, backbones=("b" * 64, "c" * 64))

    assert file == "its file knows the classes none, its pointer says cat, dog"
    assert order == "it knows cat, dog, the project has dog, cat"
    assert "another backbone" in backbone
