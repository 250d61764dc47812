"""octospoon classes: a change updates the labelling interface, the record and the training."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes.clock import FakeClock
from fakes.training import FakeControl

from octospoon.adapters.label_studio.labelling_interface import labelling_interface, multiple_choice_interface
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.cli.commands import label_studio
from octospoon.cli.commands.classes.list_classes import document
from octospoon.cli.main import main
from octospoon.cli.operations import label_audit
from octospoon.cli.operations.classes import at_start, change, settle
from octospoon.domain.errors import NotConfigured
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.imported import Confirmation
from octospoon.domain.task_types.classification import CLASSIFICATION

FIRST = ("cat", "dog")
SET_UP = ["label-studio-project", "--url", "http://127.0.0.1:9", "--title", "photos"]


@dataclass
class Api:
    """One project of Label Studio."""

    label_config: str = field(default_factory=lambda: labelling_interface(FIRST))

    def call(self, method: str, path: str, json: Any = None) -> dict[str, Any]:
        assert path == "/api/projects/7"
        if method == "PATCH":
            self.label_config = json["label_config"]
        return {"id": 7, "label_config": self.label_config}

    def close(self) -> None:
        pass


@dataclass
class Record:
    """The record of classes, which other people may change between a read and a save."""

    history: ClassHistory = field(default_factory=lambda: ClassHistory(FIRST))
    others: list[ClassHistory] = field(default_factory=list)

    def read(self) -> ClassHistory:
        return self.history

    def save(self, before: ClassHistory, history: ClassHistory) -> bool:
        if self.others:
            self.history = self.others.pop()
        if self.history.revision != before.revision:
            return False
        self.history = history
        return True


@dataclass
class Stack:
    task_type = CLASSIFICATION

    api: Api = field(default_factory=Api)
    record: Record = field(default_factory=Record)
    control: FakeControl = field(default_factory=lambda: FakeControl(FakeClock()))
    label_studio_project: int = 7

    def class_record(self) -> Record:
        return self.record

    def label_studio(self) -> Api:
        return self.api

    @property
    def deployment(self) -> Any:
        return self


def test_an_added_class_is_offered_and_needs_no_training_yet() -> None:
    stack = Stack()
    made = change(stack.deployment, lambda history, now: history.add(["owl"], now))
    assert (made.interface, str(made.change)) == (True, "add owl")
    assert stack.record.history.names == (*FIRST, "owl")
    assert stack.api.label_config == labelling_interface((*FIRST, "owl"))
    assert stack.control.state().requested == ""


def test_a_renamed_class_keeps_what_label_studio_stores() -> None:
    stack = Stack()
    change(stack.deployment, lambda history, now: history.rename("dog", "hound", now))
    assert '<Choice value="hound" alias="dog" hotkey="2"/>' in stack.api.label_config
    again = change(stack.deployment, lambda history, now: history.rename("dog", "hound", now))
    assert again.change is None
    change(stack.deployment, lambda history, now: history.undo(now))
    assert stack.api.label_config == labelling_interface(FIRST)


def test_merging_and_undoing_ask_for_training() -> None:
    stack = Stack()
    change(stack.deployment, lambda history, now: history.add(["kitten"], now))
    change(stack.deployment, lambda history, now: history.merge(["kitten"], "cat", now))
    assert stack.control.state().requested == "the classes changed: merge kitten --into cat"
    undone = change(stack.deployment, lambda history, now: history.undo(now))
    assert undone.history.names == (*FIRST, "kitten")
    assert stack.control.state().requested == "the classes changed: merge kitten --into cat undone"


def test_an_interface_that_people_changed_stays() -> None:
    own = labelling_interface(FIRST).replace("<View>", "<View><Header value='Look closely'/>")
    stack = Stack(api=Api(own))
    made = change(stack.deployment, lambda history, now: history.add(["owl"], now))
    assert not made.interface
    assert stack.api.label_config == own
    assert stack.record.history.names == (*FIRST, "owl")


def test_two_people_who_change_the_classes_lose_nothing() -> None:
    stack = Stack(record=Record(others=[ClassHistory(FIRST).add(["fox"], 1.0)]))
    made = change(stack.deployment, lambda history, now: history.add(["owl"], now))
    assert made.history.names == (*FIRST, "fox", "owl")
    assert stack.api.label_config == labelling_interface((*FIRST, "fox", "owl"))


def test_a_start_adds_new_names_and_keeps_changed_classes() -> None:
    stack = Stack()
    assert at_start(None, FIRST).names == FIRST
    assert at_start(stack.deployment, (*FIRST, "owl")).names == (*FIRST, "owl")
    with pytest.raises(NotConfigured, match="`octospoon classes` renames"):
        at_start(stack.deployment, ("dog", "cat"))

    change(stack.deployment, lambda history, now: history.rename("dog", "hound", now))
    names = at_start(stack.deployment, FIRST)
    assert names.names == ("cat", "hound"), "the saved settings are older than the change"
    stack.api.label_config = labelling_interface(FIRST)
    settle(stack.deployment, names, LabelStudioSetup(cast("Any", stack.api)), 7)
    assert stack.api.label_config == labelling_interface(("cat", "hound"), {"hound": "dog"})


def test_the_list_has_every_class_and_every_change() -> None:
    history = ClassHistory((*FIRST, "owl")).rename("dog", "hound", 1.0).merge(["owl"], "cat", 2.0).undo(3.0)
    shown = document(history.retire(["owl"], 4.0), {"cat": 2, "hound": 1, "owl": 9})
    assert [record["state"] for record in shown["classes"]] == ["active", "active", "retired"]
    assert [record["labels"] for record in shown["classes"]] == [2, 1, 0]
    assert shown["classes"][1]["earlier_names"] == ["dog"]
    assert [change["undone_at"] for change in shown["changes"]] == [None, 3.0, None]


def test_an_audit_counts_merged_classes_as_one_class() -> None:
    history = ClassHistory((*FIRST, "owl", "fox")).rename("dog", "hound", 1.0).merge(["owl"], "cat", 2.0)
    drawn = [
        Confirmation("same.jpg", "hound", "dog"),
        Confirmation("merged.jpg", "owl", "cat"),
        Confirmation("other.jpg", "fox", "dog"),
        Confirmation("open.jpg", "fox", None),
    ]
    deployment = SimpleNamespace(
        task_type=CLASSIFICATION,
        imported_labels=SimpleNamespace(confirmations=lambda: drawn),
        class_record=lambda: Record(history),
    )

    confirmed = label_audit.confirmed(cast("Any", deployment))

    assert (confirmed.drawn, confirmed.answered) == (4, 3)
    assert confirmed.right.value == pytest.approx(2 / 3)
    assert confirmed.others == (Confirmation("other.jpg", "fox", "hound"),)


@dataclass
class Projects(Api):
    """A Label Studio in which the project has a title."""

    def call(self, method: str, path: str, json: Any = None, params: Any = None) -> dict[str, Any]:
        if path == "/api/projects":
            return {"results": [{"title": "photos", "id": 7}]}
        return super().call(method, path, {"label_config": self.label_config} | (json or {}))


OFFERED = labelling_interface(("cat", "hound"), {"hound": "dog"})


@pytest.mark.parametrize("classes", ["cat,dog", "cat,hound"])
@pytest.mark.parametrize("options", [[], ["--replace-interface"]])
def test_a_repeated_set_up_keeps_stored_names(
    monkeypatch: pytest.MonkeyPatch, classes: str, options: list[str]
) -> None:
    api = Projects(OFFERED)
    monkeypatch.setattr(label_studio, "_label_studio", lambda _: api)

    assert main([*SET_UP, "--classes", classes, *options]) == 0

    assert api.label_config == OFFERED


def test_a_set_up_takes_the_classes_of_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    stack, api = Stack(), Projects(labelling_interface(FIRST))
    stack.record.history = ClassHistory(FIRST).rename("dog", "hound", 1.0)
    monkeypatch.setattr(label_studio, "_label_studio", lambda _: api)
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: stack)

    assert main([*SET_UP, "--stack", "prod"]) == 0

    assert api.label_config == OFFERED


def test_a_set_up_asks_for_the_kind_of_label(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, api = Stack(), Projects("")
    monkeypatch.setattr(label_studio, "_label_studio", lambda _: api)
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: stack)

    assert main([*SET_UP, "--classes", "cat,dog", "--task-type", "multilabel"]) == 0
    assert api.label_config == multiple_choice_interface(FIRST)

    assert main([*SET_UP, "--stack", "prod"]) == 1
    assert "one of multilabel" in capsys.readouterr().err
    assert main([*SET_UP, "--stack", "prod", "--task-type", "multilabel"]) == 1
    assert "the stack prod has labels of classification, not of multilabel" in capsys.readouterr().err
    assert main([*SET_UP, "--classes", "cat,dog", "--task-type", "boxes"]) == 1
    assert "no task type 'boxes': choose one of classification, multilabel" in capsys.readouterr().err
    assert api.label_config == multiple_choice_interface(FIRST)


@pytest.mark.parametrize("options", [[], ["--classes", "cat,dog", "--stack", "prod"]])
def test_a_set_up_takes_classes_from_one_place(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SET_UP, *options]) == 1
    assert "give either --classes, or --stack" in capsys.readouterr().err
