from __future__ import annotations

from dataclasses import replace

import pytest

from octospoon.domain.health import (
    Webhook,
    champion_advice,
    interface_problems,
    model_problems,
    webhook_problems,
)
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.interface import Choice, Interface

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
    messages = problems(OTHER, replace(GOOD, **changed))

    assert messages == [problem]
    assert SECRET not in problem


def test_a_webhook_that_is_missing_or_there_twice() -> None:
    assert problems() == problems(OTHER) == ["it is not registered"]
    assert problems(GOOD, GOOD) == ["it is registered 2 times"]


def interface(*choices: str | tuple[str, str], **more: bool) -> Interface:
    made = [Choice(choice) if isinstance(choice, str) else Choice(*choice) for choice in choices]
    return Interface(tuple(made), **more)


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        (interface("cat", "dog"), []),
        (interface("dog", "cat"), []),
        (interface(("a cat", "cat"), ("dog", "d1")), []),
        (interface("dog"), ["does not offer cat"]),
        (interface("cat", "dog", "owl"), ["offers owl, which the stack does not have"]),
        (interface("kitty", "dog"), ["offers kitty in the place of cat"]),
        (interface("kitty", "puppy"), ["kitty in the place of cat", "puppy in the place of dog"]),
        (interface(("cat", "dog"), ("dog", "cat")), ["cat, dog: value and alias"]),
        (interface("cat", "dog", ("another dog", "dog")), ["dog: value and alias"]),
    ],
)
def test_each_way_in_which_an_interface_loses_answers(given: Interface, problems: list[str]) -> None:
    messages = interface_problems(given, ClassHistory(("cat", "dog")))

    assert len(messages) == len(problems)
    assert all(part in message for part, message in zip(problems, messages, strict=True)), messages


def test_a_model_and_its_pointer_must_say_the_same() -> None:
    classes, models = ("cat", "dog"), ("b" * 64, "b" * 64)
    assert model_problems(served=classes, project=classes, file=classes, backbones=models) == []
    assert model_problems(served=(), project=classes, file=(), backbones=models) == [], (
        "before the first training"
    )

    (file,) = model_problems(served=classes, project=classes, file=(), backbones=models)
    (order,) = model_problems(served=classes, project=("dog", "cat"), file=classes, backbones=models)
    (backbone,) = model_problems(
        served=classes, project=classes, file=classes, backbones=("b" * 64, "c" * 64)
    )

    assert file == "its file knows the classes none, its pointer says cat, dog"
    assert order == "it knows cat, dog, the project has dog, cat"
    assert "another backbone" in backbone


def test_after_a_change_of_classes_no_roll_back_is_advised() -> None:
    two, three = ("cat", "dog"), ("cat", "dog", "owl")
    changed = model_problems(served=two, project=three, file=two, backbones=("a", "a"))
    assert len(changed) == 1
    assert champion_advice(two, three, changed).startswith("label images of owl")
    damaged = model_problems(served=two, project=two, file=three, backbones=("a", "a"))
    assert "rollback" in champion_advice(two, two, damaged)
    assert "rollback" in champion_advice(two, three, [*changed, *damaged])
