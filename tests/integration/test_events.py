"""An event, from the bus through a rule to its target."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from octospoon.adapters.aws.event_bridge import EventBridgeBus
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.monitoring.events import Event, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lanes import Lane

NAME = "octospoon-test-events"
PATTERN = {
    "source": ["octospoon"],
    "detail-type": ["Model Promoted", "Model Refused"],
    "detail": {"stack": ["events-test"]},
}


@pytest.fixture
def target_queue(lane: Lane) -> Iterator[str]:
    """A queue that gets the events of the rule in docs/how-to/connect-events.md."""
    sqs, events = lane.client("sqs"), lane.client("events")
    url = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=NAME, EventPattern=json.dumps(PATTERN))
    events.put_targets(Rule=NAME, Targets=[{"Id": "queue", "Arn": arn}])
    yield url
    events.remove_targets(Rule=NAME, Ids=["queue"])
    events.delete_rule(Name=NAME)
    sqs.delete_queue(QueueUrl=url)


def test_event_reaches_whom_a_rule_names(lane: Lane, target_queue: str) -> None:
    bus = EventBridgeBus(lane.client("events"), "default", "events-test")
    bus.publish(
        [
            Event(Kind.ROUND_EXPORTED, "1", {"round": 1}),
            Event(Kind.MODEL_PROMOTED, "7", {"version": 3, "previous_version": None}),
        ]
    )

    def received() -> Any:
        return lane.client("sqs").receive_message(QueueUrl=target_queue, WaitTimeSeconds=1).get("Messages")

    (message,) = wait_for("the event", received, seconds=60)
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("octospoon", "Model Promoted")
    assert event["detail"] == {
        "id": "model-promoted/7",
        "schema": 1,
        "stack": "events-test",
        "version": 3,
        "previous_version": None,
    }
