from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octospoon.adapters.label_studio.interface import parse_interface
from octospoon.adapters.label_studio.labelling_interface import (
    _earlier_interfaces,
    hotkeys,
    is_ours,
    labelling_interface,
)
from octospoon.adapters.label_studio.multiple_choice import MultipleChoice
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from octospoon.adapters.label_studio.control import Control

AUTOMATIC = "1234567890qwetasdfgzxcvbyiopjklnm"
"""The keys that Label Studio gives, in this order, to whatever has no hotkey of its own."""

names = st.sampled_from([*"0123456789abqzABQZ-+?,ä１", "cat", "dog", "10", "shift", "blurred"]) | st.text(
    st.characters(exclude_categories=("C",)), min_size=1, max_size=4
).filter(lambda name: name == name.strip())  # as settings are read: a class has no blank around its name
class_lists = st.lists(names, min_size=1, max_size=40, unique=True)


@pytest.mark.parametrize(
    ("classes", "keys"),
    [
        (("0", "1", "9"), ["0", "1", "9"]),
        ((*"0123456789", "blurred"), [*"0123456789", ""]),
        (("0", "1", "2", "other"), ["0", "1", "2", "3"]),
        (("1", "2", "3", "10"), ["1", "2", "3", "4"]),
        (("A", "b"), ["a", "b"]),
        (("a", "b", "none of these"), ["a", "b", "1"]),
        (("cat", "dog"), ["1", "2"]),
        (("a", "A"), ["a", ""]),
        (("ä", "b"), ["", "b"]),
        (("-", "cat"), ["", "1"]),
        (tuple(f"class {i}" for i in range(12)), [*"1234567890", "", ""]),
    ],
)
def test_a_key_for_each_class(classes: tuple[str, ...], keys: list[str]) -> None:
    assert hotkeys(classes) == keys


@given(class_lists)
def test_class_that_is_a_key_has_that_key_or_none(classes: list[str]) -> None:
    keys = hotkeys(classes)

    given_keys = [key for key in keys if key]
    assert len(set(given_keys)) == len(given_keys)
    for name, key in zip(classes, keys, strict=True):
        assert len(name) > 1 or key in ("", name.lower())
        assert not any(key == other.lower() for other in classes if other != name and len(other) == 1) or (
            key == name.lower()
        )


@given(class_lists, st.lists(names, max_size=5))
def test_no_shortcut_key_chooses_a_class_named_like_another(classes: list[str], added: list[str]) -> None:
    for given_classes in (classes, list(dict.fromkeys([*classes, *added]))):
        for name, key in bound(given_classes).items():
            assert len(name) > 1 or key in (name.lower(), f"shift+{name.lower()}", " ")
            assert key == name.lower() or key not in {class_name.lower() for class_name in given_classes}


def bound(classes: list[str]) -> dict[str, str]:
    """Return each class's hotkey as Label Studio binds it: classes without one get the free keys."""
    choices = list(ElementTree.fromstring(labelling_interface(classes)).iter("Choice"))
    taken = {choice.get("hotkey") for choice in choices}
    free = iter([key for key in AUTOMATIC if key not in taken])
    return {
        name: choice.get("hotkey") or next(free, "") for name, choice in zip(classes, choices, strict=True)
    }


def test_any_class_name_makes_a_sound_interface() -> None:
    classes = ('a "quoted" <name>', "it's & more", "Straße")

    choices = ElementTree.fromstring(labelling_interface(classes)).iter("Choice")

    assert tuple(choice.get("value") for choice in choices) == classes


def test_a_choice_is_required() -> None:
    interface = parse_interface(labelling_interface(("cat", "dog")))

    assert interface.required
    assert not interface.multiple


@given(class_lists)
def test_an_interface_that_nobody_changed_is_known_for_ours(classes: list[str]) -> None:
    assert is_ours(labelling_interface(classes))
    assert all(is_ours(interface) for interface in _earlier_interfaces(classes))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("</View>", '<TextArea name="note" toName="image"/></View>'),
        ('value="cat"', 'value="cat" alias="c"'),
        ('hotkey="1"', 'hotkey="k"'),
        ('choice="single"', 'choice="multiple"'),
        (' required="true"', ""),
        ("<View>", "<View><Header value='Look closely'/>"),
        ("</View>", ""),
    ],
)
def test_what_a_person_changed_is_not_ours(old: str, new: str) -> None:
    ours = labelling_interface(("cat", "dog"))
    assert old in ours
    assert not is_ours(ours.replace(old, new))


class Projects:
    """Label Studio with one project."""

    def __init__(self, label_config: str) -> None:
        self.label_config, self.sent = label_config, []

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        if method == "PATCH":
            self.sent.append(kwargs["json"])
            return None
        return {"id": 7, "title": "t", "label_config": self.label_config} | {
            "results": [{"id": 7, "title": "t"}]
        }


@pytest.mark.parametrize(
    ("there", "wanted"), [(SingleChoice(), MultipleChoice()), (MultipleChoice(), SingleChoice())]
)
def test_a_project_of_another_task_type_is_kept_and_refused(there: Control, wanted: Control) -> None:
    projects = Projects(there.written(("cat", "dog")))
    setup = LabelStudioSetup(projects)

    with pytest.raises(NotConfigured, match=r"project 7\).*--replace-interface"):
        setup.project("t", ("cat", "dog"), wanted)
    assert not projects.sent, "nothing was changed"

    assert setup.project("t", ("cat", "dog"), wanted, replace_interface=True) == 7
    assert projects.sent[0]["label_config"] == wanted.written(("cat", "dog"))


def test_an_unusable_interface_is_kept_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    projects = Projects("<View><Text name='t' value='$t'/></View>")

    LabelStudioSetup(projects).project("t", ("cat", "dog"), SingleChoice())

    assert "label_config" not in projects.sent[0]
    assert "project 7 keeps its labelling interface" in caplog.text
