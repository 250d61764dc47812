from __future__ import annotations

import json
import logging

import pytest

from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.images import ImageRef
from octospoon.runtime.batches import by_message, each, failures
from octospoon.runtime.events import uploads

LOGGER = logging.getLogger("test")


def notification(*keys: str) -> str:
    records = [{"s3": {"object": {"key": key, "eTag": "e", "sequencer": "0A", "size": 5}}} for key in keys]
    return json.dumps({"Records": records})


def sqs(*bodies: str) -> dict:
    return {"Records": [{"messageId": f"m{i}", "body": body} for i, body in enumerate(bodies)]}


def test_keys_are_decoded() -> None:
    assert uploads(notification("a+b%2Bc/%C3%A4.png")) == [ImageRef("a b+c/ä.png", "e", "0A", 5)]


def test_the_test_event_of_a_new_bucket_is_nothing() -> None:
    assert uploads(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})) == []


@pytest.mark.parametrize("body", ["", "[]", "{}", "null", '{"Records": [{}]}', '{"Records": [{"s3": 1}]}'])
def test_anything_else_is_refused(body: str) -> None:
    with pytest.raises(BadRequest):
        uploads(body)


def test_an_unreadable_message_fails_alone() -> None:
    found, owners, failed = by_message(
        sqs(notification("a", "b"), "rubbish", notification("c")), uploads, LOGGER
    )

    assert [one.key for one in found] == ["a", "b", "c"]
    assert owners == ["m0", "m0", "m2"]
    assert failures(failed) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def test_each_message_is_processed_whatever_happens_to_the_others() -> None:
    done: list[str] = []

    def process(body: str) -> None:
        if body == "bad":
            raise RuntimeError("no")
        done.append(body)

    answer = each(sqs("one", "bad", "two"), process, LOGGER)

    assert done == ["one", "two"]
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
