"""A message that fails permanently moves to the dead letters, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from octospoon.cli.main import main
from octospoon.cli.operations import dead_letters as dlq
from octospoon.cli.operations.queues import depth
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lanes import Lane

UNREADABLE = "no notification"


@pytest.fixture
def impatient(lane: Lane) -> Iterator[None]:
    """Retry failed messages at once, not after six minutes."""
    sqs, url = lane.client("sqs"), lane.outputs["AnnotationsQueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "360"})


def test_permanently_failed_message_can_be_listed_and_returned(
    lane: Lane, impatient: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs, outputs = lane.client("sqs"), lane.outputs
    queue, dead = outputs["AnnotationsQueueUrl"], outputs["AnnotationsDeadLettersUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(UNREADABLE))
    wait_for("the dead letter", lambda: True if depth(sqs, dead)[0] else None, seconds=120)

    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: lane)
    assert main(["dlq", "list", "annotations"]) == 0
    assert UNREADABLE in capsys.readouterr().out
    assert main(["dlq", "list", "annotations", "--json"]) == 0
    (queue_found,) = json.loads(capsys.readouterr().out)
    assert (queue_found["queue"], queue_found["dead_letters"]) == ("annotations", 1)
    assert UNREADABLE in queue_found["letters"][0]["body"]
    assert depth(sqs, dead)[0] == 1, "looking takes nothing away"

    assert dlq.redrive(lane, ["annotations"]) == {"annotations": 1}
    wait_for("its way back", lambda: True if depth(sqs, dead)[0] else None, seconds=120)
    sqs.purge_queue(QueueUrl=dead)
    assert dlq.redrive(lane, ["annotations"]) == {}


def test_a_queue_that_is_not_there(lane: Lane) -> None:
    with pytest.raises(BadRequest, match="there are uploads"):
        dlq.redrive(lane, ["nonsense"])
