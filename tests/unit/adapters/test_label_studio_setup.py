from __future__ import annotations

from xml.etree import ElementTree

import pytest

from octospoon.adapters.label_studio_setup import hotkeys, labelling_interface


@pytest.mark.parametrize(
    ("classes", "keys"),
    [
        (("0", "1", "9"), ["0", "1", "9"]),
        (("A", "b"), ["a", "b"]),
        (("cat", "dog"), ["1", "2"]),
        (("a", "A"), ["1", "2"]),
        (("ä", "b"), ["1", "2"]),
        (tuple(f"class {i}" for i in range(12)), [*"1234567890", "", ""]),
    ],
)
def test_a_key_for_each_class(classes: tuple[str, ...], keys: list[str]) -> None:
    assert hotkeys(classes) == keys


def test_any_class_name_makes_a_sound_interface() -> None:
    classes = ('a "quoted" <name>', "it's & more", "Straße")

    choices = ElementTree.fromstring(labelling_interface(classes)).iter("Choice")

    assert tuple(choice.get("value") for choice in choices) == classes
