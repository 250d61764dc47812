"""Requests to EventBridge, checked against AWS's model of PutEvents."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.adapters.aws.event_bridge import EventBridgeBus
from octospoon.domain.errors import Refused, ServiceUnavailable
from octospoon.domain.monitoring.events import Event, Kind

EVENTS = [Event(Kind.ROUND_EXPORTED, str(number), {"round": number}) for number in range(12)]


@pytest.fixture(name="bus")
def stubbed():
    client = boto3.client(
        "events", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stubber:
        yield EventBridgeBus(client, "default", "stack"), stubber
        stubber.assert_no_pending_responses()


def entry(number: int) -> dict[str, str]:
    detail = {"id": f"round-exported/{number}", "schema": 1, "stack": "stack", "round": number}
    return {
        "EventBusName": "default",
        "Source": "octospoon",
        "DetailType": "Round Exported",
        "Detail": json.dumps(detail),
    }


def answer(*codes: str) -> dict[str, object]:
    return {"Entries": [{"ErrorCode": code} if code else {"EventId": "e"} for code in codes]}


def test_ten_events_go_in_a_request(bus):
    made, stubber = bus
    stubber.add_response("put_events", answer(*[""] * 10), {"Entries": [entry(n) for n in range(10)]})
    stubber.add_response("put_events", answer("", ""), {"Entries": [entry(10), entry(11)]})
    made.publish(EVENTS)


def test_only_refused_events_are_sent_again(bus):
    made, stubber = bus
    stubber.add_response(
        "put_events", answer("", "ThrottlingException", ""), {"Entries": [entry(n) for n in range(3)]}
    )
    stubber.add_response("put_events", answer(""), {"Entries": [entry(1)]})
    made.publish(EVENTS[:3])


def test_events_that_are_refused_again_and_again_are_an_error(bus):
    made, stubber = bus
    for _ in range(3):
        stubber.add_response("put_events", answer("InternalFailure"), {"Entries": [entry(0)]})
    with pytest.raises(ServiceUnavailable, match="the bus default did not take 1 events: InternalFailure"):
        made.publish(EVENTS[:1])


def test_bus_that_does_not_exist_is_named(bus):
    made, stubber = bus
    stubber.add_client_error("put_events", "ResourceNotFoundException", "no such bus", 400)
    with pytest.raises(Refused, match=r"publishing events on the bus default: .*no such bus"):
        made.publish(EVENTS[:1])


def test_nothing_to_publish_asks_for_nothing(bus):
    made, _ = bus
    made.publish([])
