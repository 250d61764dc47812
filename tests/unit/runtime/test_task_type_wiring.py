"""Every function takes the kind of label from the deployment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, get_args

import pytest
from unit.runtime.test_launcher_wiring import SETTINGS

from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord
from octospoon.adapters.label_studio.multiple_choice import MultipleChoice
from octospoon.adapters.label_studio.rectangle_labels import RectangleLabels
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import BadModel, NotConfigured
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.task_types.named import OFFERED, check_activation, check_kind, task_type_named
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.runtime.settings import TaskTypes
from octospoon.runtime.wiring import collect, predict, rank, watch, webhook

if TYPE_CHECKING:
    from collections.abc import Callable

OTHERS = {
    "OCTOSPOON_WEBHOOK_SECRET": "secret",
    "OCTOSPOON_PREDICT_SECRET": "secret",
    "OCTOSPOON_ANNOTATIONS_QUEUE_URL": "https://queue",
    "OCTOSPOON_RESCORE_QUEUE_URL": "https://queue",
    "OCTOSPOON_LABEL_STUDIO_URL": "https://labels",
    "OCTOSPOON_LABEL_STUDIO_PROJECT": "1",
    "OCTOSPOON_LABEL_STUDIO_TOKEN_SECRET": "token",
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SETTINGS | OTHERS).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("", SingleChoice),
        ("classification", SingleChoice),
        ("multilabel", MultipleChoice),
        ("detection", RectangleLabels),
    ],
)
def test_webhook_and_predict_ask_with_its_control(
    monkeypatch: pytest.MonkeyPatch, name: str, control: type
) -> None:
    if name:
        monkeypatch.setenv("OCTOSPOON_TASK_TYPE", name)

    messages = webhook.webhook().messages

    assert isinstance(messages, partial)
    assert isinstance(messages.keywords["control"], control)
    assert isinstance(predict.control(), control)


def test_an_unknown_type_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTOSPOON_TASK_TYPE", "poetry")
    with pytest.raises(NotConfigured, match="poetry"):
        webhook.webhook()
    with pytest.raises(NotConfigured, match="choose one of classification, multilabel, detection"):
        task_type_named("poetry")


@pytest.mark.parametrize("wire", [collect.collect, rank.rank, watch.watch])
def test_a_function_refuses_labels_of_another_kind(
    monkeypatch: pytest.MonkeyPatch, wire: Callable[[], object]
) -> None:
    monkeypatch.setattr(DynamoTaskTypeRecord, "read", lambda _: "classification")
    wire()
    monkeypatch.setenv("OCTOSPOON_TASK_TYPE", "multilabel")
    with pytest.raises(NotConfigured, match="labels of the task type classification"):
        wire()


def test_the_first_label_settles_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr(DynamoTaskTypeRecord, "read", lambda _: "")
    monkeypatch.setattr(DynamoTaskTypeRecord, "keep", lambda record: kept.append(record._name))
    monkeypatch.setenv("OCTOSPOON_TASK_TYPE", "multilabel")
    collecting = collect.collect()
    elsewhere = [{"from_name": "quality", "to_name": "image", "type": "rating", "value": {"rating": 3}}]

    assert collecting.read(elsewhere, ClassHistory(("cat",))).label is None
    assert not kept
    assert collecting.read([], ClassHistory(("cat",))).label == "[]", "none of the classes is a label"
    assert kept == ["multilabel"]
    assert collecting.settings.task_type == collecting.task_type.name == "multilabel"


def test_every_offered_type_is_a_setting() -> None:
    assert get_args(TaskTypes) == OFFERED
    assert [task_type_named(name).name for name in OFFERED] == list(OFFERED)


def test_the_heads_of_a_type_end_with_its_activation() -> None:
    for name, own, other in (
        (TaskTypeName.CLASSIFICATION, "softmax", "sigmoid"),
        (TaskTypeName.MULTILABEL, "sigmoid", "softmax"),
    ):
        check_activation(task_type_named(name), own)
        with pytest.raises(BadModel, match=f"ends with a {other}, and {name} needs a {own}"):
            check_activation(task_type_named(name), other)


def test_a_detector_serves_no_other_kind_of_label():
    boxes = ModelSpec(("cat",), 32, 32, 3, "squash", "a" * 64, 1, boxes=5)
    classes = ModelSpec(("cat", "dog"), 32, 32, 3, "squash", "a" * 64, 1)

    check_kind(task_type_named("classification"), classes)
    with pytest.raises(BadModel, match="predicts boxes, and classification needs classes"):
        check_kind(task_type_named("classification"), boxes)
    with pytest.raises(BadModel, match="ends with a softmax, and multilabel"):
        check_kind(task_type_named("multilabel"), classes)
    detection = task_type_named("detection")
    check_kind(detection, boxes)
    with pytest.raises(BadModel, match="predicts classes, and detection needs boxes"):
        check_kind(detection, classes)
