from __future__ import annotations

import json
import logging

import pytest

from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.images import ImageRef
from octospoon.runtime.batches import by_message, failures, process_each
from octospoon.runtime.events import uploads

LOGGER = logging.getLogger("test")


def notification(*keys: str) -> str:
    records = [{"s3": {"object": {"key": key, "eTag": "e", "sequencer": "0A", "size": 5}}} for key in keys]
    return json.dumps({"Records": records})


def sqs(*bodies: str) -> dict:
    return {"Records": [{"messageId": f"m{i}", "body": body} for i, body in enumerate(bodies)]}


def test_keys_are_decoded() -> None:
    assert uploads(notification("a+b%2Bc/%C3%A4.png")) == [ImageRef("a b+c/ä.png", "e", "0A", 5)]


def event(key: str) -> str:
    """Return an event of EventBridge, as S3 sends it."""
    written = {"key": key, "size": 5, "etag": "e", "version-id": "v", "sequencer": "0A"}
    return json.dumps(
        {
            "version": "0",
            "id": "17793124-05d4-b198-2fde-7ededc63b103",
            "detail-type": "Object Created",
            "source": "aws.s3",
            "detail": {"version": "0", "bucket": {"name": "b"}, "object": written, "reason": "PutObject"},
        }
    )


def test_keys_of_an_existing_bucket_are_taken_as_they_are() -> None:
    assert uploads(event("a+b%20c/ä.png")) == [ImageRef("a+b%20c/ä.png", "e", "0A", 5)]


@pytest.mark.parametrize("key", ["a.json", "photos/a.XML", "a.jpg.txt", "scan.7z"])
def test_other_files_of_an_existing_bucket_are_left_alone(key: str) -> None:
    assert uploads(event(key)) == []


@pytest.mark.parametrize("key", ["a.JPG", "b/0f3c", "v1.0/2026.01", "a.jpeg", "a.heic", "day.2026-01-31"])
def test_images_and_names_without_extension_are_uploads(key: str) -> None:
    assert [image.key for image in uploads(event(key))] == [key]


def test_the_test_event_of_a_new_bucket_is_nothing() -> None:
    assert uploads(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})) == []


REFUSED = (
    *("", "[]", "{}", "null", '{"Records": [{}]}', '{"Records": [{"s3": 1}]}'),
    *('{"detail-type": 1}', '{"detail-type": "", "detail": {}}'),
)


@pytest.mark.parametrize("body", REFUSED)
def test_anything_else_is_refused(body: str) -> None:
    with pytest.raises(BadRequest):
        uploads(body)


def test_an_unreadable_message_fails_alone() -> None:
    images, owners, failed = by_message(
        sqs(notification("a", "b"), "rubbish", notification("c")), uploads, LOGGER
    )

    assert [image.key for image in images] == ["a", "b", "c"]
    assert owners == ["m0", "m0", "m2"]
    assert failures(failed) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def test_each_message_is_processed_whatever_happens_to_the_others() -> None:
    processed: list[str] = []

    def process(body: str) -> None:
        if body == "bad":
            raise RuntimeError("no")
        processed.append(body)

    answer = process_each(sqs("one", "bad", "two"), process, LOGGER)

    assert processed == ["one", "two"]
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
