from __future__ import annotations

import json

import msgspec
import pytest

from octospoon.domain.errors import BadRequest, Unauthorized
from octospoon.usecases.receive import MAX_BODY, Message, ReceiveWebhook, parse

ANNOTATION = {
    "id": 11,
    "unique_id": "465f2da3",
    "updated_at": "2026-11-22T07:26:50.269634Z",
    "task": 7,
    "completed_by": 1,
    "was_cancelled": False,
    "result": [{"type": "choices", "value": {"choices": ["cat"]}}],
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
    return ReceiveWebhook(secret=lambda: "s3cret-ü", enqueue=queued.append)


def test_an_annotation_is_queued_with_what_counting_needs(receive: ReceiveWebhook, queued: list[str]) -> None:
    assert receive(body(annotation=ANNOTATION, task=TASK), "s3cret-ü")

    message = msgspec.json.decode(queued[0], type=Message)
    assert (message.action, message.project) == ("ANNOTATION_CREATED", 9)
    assert message.annotations[0].unique_id == "465f2da3"
    assert message.tasks[0].data["key"] == "0.jpg"


def test_lists_stand_under_singular_names() -> None:
    message = parse(body(annotation=[ANNOTATION, ANNOTATION], task=[TASK]))

    assert message is not None
    assert len(message.annotations) == 2
    assert len(message.tasks) == 1


def test_a_deletion_carries_ids_alone() -> None:
    message = parse(body(action="ANNOTATIONS_DELETED", annotations=[{"id": 11}]))

    assert message is not None
    assert message.annotations[0].id == 11


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
