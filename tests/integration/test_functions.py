"""The functions as they are deployed: settings, logs, and an answer to their event files."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from lanes import ROOT

from octospoon.cli.datasets.digits import png_bytes
from octospoon.cli.deploy import sam_template
from octospoon.cli.local import events
from octospoon.cli.operations.waiting import wait_for

if TYPE_CHECKING:
    from lanes import Lane

RESOURCES = sam_template.read(ROOT / "template.yaml")["Resources"]
FUNCTIONS = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::Serverless::Function"]
NEED_LABEL_STUDIO = {"RankFunction", "ReconcileFunction"}
"""Which the lane in Docker is without; tests/e2e has it."""
PROJECT = 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_settings_of_the_template(lane: Lane, name: str) -> None:
    deployed = lane.client("lambda").get_function_configuration(FunctionName=lane.outputs[f"{name}Name"])

    properties = RESOURCES[name]["Properties"]
    assert (deployed["Timeout"], deployed["MemorySize"]) == (properties["Timeout"], properties["MemorySize"])
    assert deployed["Environment"]["Variables"].keys() >= properties["Environment"]["Variables"].keys()


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in NEED_LABEL_STUDIO])
def test_function_accepts_its_event_and_logs_it(lane: Lane, name: str) -> None:
    answer, request = invoke(lane, name)

    assert answer.get("batchItemFailures", []) == []
    assert answer.get("statusCode", 200) in (200, 409), answer  # 409: no model with classes serves yet
    wait_for("its report", lambda: reported(lane, lane.outputs[f"{name}Name"], request))


def reported(lane: Lane, function: str, request: str) -> bool | None:
    """Return whether the log contains the report line of a request."""
    pattern = f'"REPORT RequestId: {request}"'
    logs = lane.client("logs")
    events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern=pattern)
    return True if events["events"] else None


def invoke(lane: Lane, name: str) -> tuple[dict[str, Any], str]:
    """Invoke a function with its event file; return its answer and the request's id."""
    path = ROOT / "events" / f"{name.removesuffix('Function').lower()}.json"
    key = f"{uuid.uuid4().hex}.png"
    lane.client("s3").put_object(Bucket=lane.outputs["ImagesBucket"], Key=key, Body=png_bytes(3))
    event = events.Filling(lane, PROJECT).fill(events.read(path))
    response = lane.client("lambda").invoke(
        FunctionName=lane.outputs[f"{name}Name"], Payload=json.dumps(event).encode()
    )
    payload = json.loads(response["Payload"].read())
    assert "FunctionError" not in response, payload
    return payload, response["ResponseMetadata"]["RequestId"]
