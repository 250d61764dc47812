"""A missing right costs only what it is needed for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from octospoon.cli.failures import sentence
from octospoon.cli.operations import dead_letters
from octospoon.cli.operations.queues import QUEUES

MESSAGE = {
    "MessageId": "id",
    "Body": "body",
    "Attributes": {"SentTimestamp": "5000", "ApproximateReceiveCount": "3"},
}


def denied(operation: str) -> ClientError:
    said = f"User: me is not authorized to perform: {operation}"
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": said}}, operation)


class Refusing:
    """A client of CloudWatch Logs without rights."""

    exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)

    def get_paginator(self, _name: str) -> Any:
        def paginate(**_: Any) -> Any:
            raise denied("FilterLogEvents")

        return SimpleNamespace(paginate=paginate)


def deployment(sqs: Any) -> Any:
    names = [f"{name}DeadLettersUrl" for name in QUEUES]
    outputs = dict.fromkeys([*names, "ScoreFunctionName", "CollectFunctionName", "RescoreFunctionName"], "a")
    return SimpleNamespace(outputs=outputs, client=lambda name: sqs if name == "sqs" else Refusing())


def test_without_the_right_to_logs_messages_are_listed() -> None:
    numbers = {"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "0"}
    sqs = SimpleNamespace(
        get_queue_attributes=lambda **_: {"Attributes": numbers},
        receive_message=lambda **_: {"Messages": [MESSAGE]},
    )
    (queue,) = dead_letters.read(deployment(sqs), ["uploads"])
    (letter,) = queue.letters
    assert (letter.body, letter.tries) == ("body", 3)
    assert letter.reason.startswith("the log cannot be read: AWS denies FilterLogEvents to this sign-in")
    assert letter.reason.endswith("ask for that permission")


def test_without_the_right_to_queues_the_sentence_names_it() -> None:
    def refuse(**_: Any) -> Any:
        raise denied("GetQueueAttributes")

    with pytest.raises(Exception, match="GetQueueAttributes") as caught:
        dead_letters.read(deployment(SimpleNamespace(get_queue_attributes=refuse)), ["uploads"])
    assert "AWS denies GetQueueAttributes to this sign-in" in sentence(caught.value)
