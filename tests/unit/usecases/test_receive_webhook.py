from __future__ import annotations

import contextlib
import json
from functools import partial
from pathlib import Path

import msgspec
import pytest
from fakes.clock import FakeClock
from fakes.labelling import FakeLabels
from fakes.pool import FakePool
from fakes.training import FakeControl, FakeLauncher
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.adapters.label_studio.webhook import ACTIONS, MAX_BODY
from octospoon.adapters.label_studio.webhook import parse as parse_with
from octospoon.domain.errors import BadRequest, Unauthorized
from octospoon.domain.labelling.answers import Answer
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.jobs import JobSettings
from octospoon.domain.training.policy import TrainingRules
from octospoon.ports.labelling import Message
from octospoon.usecases.collect import CollectAnnotations
from octospoon.usecases.receive_webhook import ReceiveWebhook

CLASSES = ClassHistory(("cat", "dog"))
CONTROL = SingleChoice()
parse, read = partial(parse_with, control=CONTROL), CONTROL.read
CHOICE = {"type": "choices", "from_name": "label", "to_name": "image", "value": {"choices": ["cat"]}}
ANNOTATION = {
    "id": 11,
    "unique_id": "465f2da3",
    "updated_at": "2026-11-22T07:26:50.269634Z",
    "task": 7,
    "completed_by": 1,
    "was_cancelled": False,
    "result": [CHOICE],
    "draft_created_at": None,
}
TASK = {"id": 7, "data": {"image": "s3://raw/0.jpg", "key": "0.jpg"}, "meta": {}}


def body(**fields: object) -> bytes:
    return json.dumps({"action": "ANNOTATION_CREATED", "project": {"id": 9}, **fields}).encode()


@pytest.fixture
def queued() -> list[str]:
    return []


@pytest.fixture
def receive(queued: list[str]) -> ReceiveWebhook:
    return ReceiveWebhook(secret=lambda: "s3cret-ü", messages=parse, enqueue=queued.append)


def test_an_annotation_is_queued_with_what_counting_needs(receive: ReceiveWebhook, queued: list[str]) -> None:
    assert receive(body(annotation=ANNOTATION, task=TASK), "s3cret-ü")

    message = msgspec.json.decode(queued[0], type=Message)
    assert (message.action, message.project) == ("ANNOTATION_CREATED", 9)
    assert message.annotations[0].unique_id == "465f2da3"
    assert message.tasks[0].data["key"] == "0.jpg"


def test_lists_stand_under_singular_names() -> None:
    (message,) = parse(body(annotation=[ANNOTATION, ANNOTATION], task=[TASK]))

    assert len(message.annotations) == 2
    assert len(message.tasks) == 1


def test_a_deletion_carries_ids_alone() -> None:
    (message,) = parse(body(action="ANNOTATIONS_DELETED", annotations=[{"id": 11}]))

    assert message.annotations[0].id == 11


def test_nothing_travels_that_counting_does_not_need() -> None:
    data = {"image": "s3://b/k", "key": "k", "etag": "e", "notes": "x" * 300_000}
    region = {"type": "brushlabels", "value": {"rle": list(range(99_999))}}
    picked = CHOICE | {"id": "abc", "value": {"choices": ["cat", "dog", "owl"] * 5000}}
    result = {"result": [region, picked]}

    (message,) = parse(body(annotation=ANNOTATION | result, task={"id": 7, "data": data}))

    assert message.tasks[0].data == {"key": "k", "etag": "e"}
    assert message.annotations[0].result == [
        CHOICE | {"value": {"choices": ["cat", "dog"]}, "shown": ["cat", "dog"]}
    ]


def test_what_annotators_saw_travels_with_the_alias_that_is_stored() -> None:
    config = (
        '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
        '<Choice value="cat" alias="c1"/></Choices></View>'
    )
    result = {"result": [CHOICE | {"value": {"choices": ["c1"]}}]}
    project = {"id": 9, "label_config": config}

    (message,) = parse(body(annotation=ANNOTATION | result, task=TASK, project=project))

    assert read(message.annotations[0].result, CLASSES) == Answer("cat")


@pytest.mark.parametrize("config", [None, 3, ["x"], "", "<View/>", "no XML", "<!DOCTYPE a><View/>"])
def test_an_annotation_of_any_interface_is_queued(config: object) -> None:
    (message,) = parse(body(annotation=ANNOTATION, task=TASK, project={"id": 9, "label_config": config}))

    assert read(message.annotations[0].result, CLASSES) == Answer("cat")


def test_many_annotations_travel_in_messages_that_the_queue_takes(
    receive: ReceiveWebhook, queued: list[str]
) -> None:
    many = [ANNOTATION | {"id": i, "unique_id": f"u{i}", "task": i} for i in range(1000)]
    tasks = [{"id": i, "data": {"key": "ö" * 500 + str(i), "etag": "e"}} for i in range(1000)]

    assert receive(body(action="ANNOTATIONS_CREATED", annotation=many, task=tasks), "s3cret-ü")

    messages = [msgspec.json.decode(text, type=Message) for text in queued]
    assert max(len(text.encode()) for text in queued) < 262_144
    assert [annotation.id for message in messages for annotation in message.annotations] == list(range(1000))
    for message in messages:
        assert {task.id for task in message.tasks} == {annotation.task for annotation in message.annotations}


RECORDED = Path(__file__).parents[2] / "payloads" / "label-studio"


def test_every_recorded_payload_of_label_studio_is_accepted() -> None:
    counted = {}
    for file in sorted(RECORDED.glob("*.json")):
        recorded = json.loads(file.read_text())["body"]
        counted[file.stem] = sum(len(message.annotations) for message in parse(json.dumps(recorded).encode()))

    assert len(counted) >= 15
    for name, number in counted.items():
        assert (number > 0) == ("ANNOTATION" in name), name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = dict.fromkeys(("project", "annotation", "annotations", "task", "tasks"), json_values)
actions = st.sampled_from([*sorted(ACTIONS), "TASKS_DELETED", "", "ANNOTATION"])
near = st.fixed_dictionaries({"action": actions}, optional=fields)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a body as Label Studio sends it, in which one value is replaced by any other."""
    whole = json.loads(body(annotation=ANNOTATION, task=TASK))
    path = draw(st.sampled_from([("annotation",), ("task",), ("project",), ()]))
    target = whole
    for name in path:
        target = target[name]
    target[draw(st.sampled_from(sorted(target)))] = draw(json_values)
    return json.dumps(whole).encode()


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=200) | near.map(lambda value: json.dumps(value).encode()) | damaged())
def test_any_body_is_countable_when_queued_else_ignored_or_refused(data: bytes) -> None:
    queued: list[str] = []
    with contextlib.suppress(BadRequest):
        ReceiveWebhook(lambda: "s", parse, queued.append)(data, "s")

    clock = FakeClock()
    control = FakeControl(clock)
    labels = FakeLabels(FakePool(control=control), control)
    settings = JobSettings(CLASSES.names)
    collect = CollectAnnotations(
        labels,
        control,
        FakeLauncher(),
        clock,
        settings,
        lambda: CLASSES,
        CLASSIFICATION,
        read,
        TrainingRules(1),
    )
    for message in queued:
        collect(message)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_other_secret_opens(given_secret: str) -> None:
    assume(given_secret != "s")
    with pytest.raises(Unauthorized):
        ReceiveWebhook(lambda: "s", parse, lambda _: None)(body(annotation=ANNOTATION), given_secret)


def test_other_actions_are_ignored(receive: ReceiveWebhook, queued: list[str]) -> None:
    assert not receive(body(action="PROJECT_UPDATED"), "s3cret-ü")
    assert queued == []


@pytest.mark.parametrize("given", ["", "s3cret", "s3cret-ü "])
def test_a_wrong_secret_queues_nothing(receive: ReceiveWebhook, queued: list[str], given: str) -> None:
    with pytest.raises(Unauthorized):
        receive(body(annotation=ANNOTATION, task=TASK), given)
    assert queued == []


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"no": "action"}', b"\xff", body(annotation="x"), b" " * (MAX_BODY + 1)],
    ids=["empty", "cut", "list", "no action", "not utf-8", "wrong type", "too large"],
)
def test_a_body_that_is_no_webhook_is_refused(receive: ReceiveWebhook, data: bytes) -> None:
    with pytest.raises(BadRequest):
        receive(data, "s3cret-ü")
