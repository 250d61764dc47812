"""Functions as processes, in a real LocalStack."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from octospoon.cli.stack import start
from octospoon.cli.stack.process import identity

pytestmark = pytest.mark.stack(own=True)
ROOT = Path(__file__).parents[3]
CODE = """
import os, subprocess, sys, time

print("imported")
calls = 0
if os.environ.get("BROKEN"):
    raise ValueError("cannot start")

def handler(event, context):
    global calls
    calls += 1
    print("handling", event)
    if event.get("do") == "raise":
        raise ValueError("bad luck")
    if event.get("do") == "exit":
        os._exit(3)
    if event.get("do") == "sleep":
        time.sleep(event["seconds"])
    child = subprocess.Popen(["sleep", "300"]) if event.get("do") == "spawn" else None
    return {
        "pids": [os.getpid(), child.pid if child else 0],
        "calls": calls,
        "environment": dict(os.environ),
        "path": sys.path[:2],
        "left_ms": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
    }
"""


class Aws:
    """One LocalStack and its clients."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.functions = self.client("lambda")

    def client(self, service: str):
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def create(self, name: str, code: str = CODE, **options) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("app.py", code)
        self.functions.create_function(
            FunctionName=name,
            Handler="app.handler",
            Role="arn:aws:iam::000000000000:role/any",
            Code={"ZipFile": archive.getvalue()},
            **{"Runtime": "python3.12", "Timeout": 5, **options},
        )
        self.functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    def invoke(self, name: str, **event):
        """Return the answer, the kind of error if there was one, and the log."""
        response = self.functions.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
        log = base64.b64decode(response["LogResult"]).decode()
        return json.loads(response["Payload"].read()), response.get("FunctionError"), log


@pytest.fixture(scope="module")
def stack():
    with start(ROOT, progress=print, services=["localstack"], name="executor") as running:
        yield running


@pytest.fixture(scope="module")
def aws(stack):
    return Aws(stack.aws_url)


@pytest.fixture(scope="module")
def function(aws):
    aws.create("plain", Environment={"Variables": {"GREETING": "hello"}})
    return "plain"


def test_a_function_answers_in_the_environment_that_lambda_gives(aws, function, monkeypatch):
    answer, error, _ = aws.invoke(function)
    environment = answer["environment"]
    assert error is None
    assert answer["arn"].endswith(":function:plain")
    assert 0 < answer["left_ms"] <= 5000
    assert environment["GREETING"] == "hello"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == function
    assert environment["AWS_ENDPOINT_URL"] == aws.url
    assert "GATEWAY_LISTEN" not in environment
    assert "localstack_process_executor" not in "".join(answer["path"])


def test_the_log_has_the_output_between_start_and_report(aws, function):
    aws.create("logging")
    _, _, first = aws.invoke("logging", n=1)
    _, _, second = aws.invoke("logging", n=2)
    lines = first.splitlines()
    assert lines[0].startswith("START RequestId: ")
    assert lines[1:3] == ["imported", "handling {'n': 1}"]
    assert lines[3].startswith("END RequestId: ")
    assert "Init Duration" in lines[4]
    assert "imported" not in second
    assert "handling {'n': 2}" in second
    assert "Init Duration" not in second


def test_the_log_reaches_cloudwatch(aws, function):
    aws.invoke(function, words="find me")
    logs = aws.client("logs")
    deadline = time.monotonic() + 20
    while True:
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            events = []
        if any("find me" in event["message"] for event in events):
            return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_same_process_serves_again(aws, function):
    first, second = aws.invoke(function)[0], aws.invoke(function)[0]
    assert first["pids"][0] == second["pids"][0]
    assert second["calls"] == first["calls"] + 1


def test_an_exception_is_reported_and_the_process_goes_on(aws, function):
    before = aws.invoke(function)[0]["pids"][0]
    answer, error, _ = aws.invoke(function, do="raise")
    assert (error, answer["errorType"], answer["errorMessage"]) == ("Unhandled", "ValueError", "bad luck")
    assert aws.invoke(function)[0]["pids"][0] == before


def test_crash_is_reported_and_the_next_event_gets_a_process(aws, function):
    answer, error, _ = aws.invoke(function, do="exit")
    assert error == "Unhandled"
    assert answer["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in answer["errorMessage"]
    assert aws.invoke(function)[0]["calls"] == 1


def test_a_function_that_takes_too_long_is_stopped(aws):
    aws.create("slow", Timeout=1)
    began = time.monotonic()
    answer, error, _ = aws.invoke("slow", do="sleep", seconds=60)
    assert time.monotonic() - began < 20
    assert error == "Unhandled"
    assert "Task timed out after 1.00 seconds" in answer["errorMessage"]
    assert aws.invoke("slow")[0]["calls"] == 1


def test_a_function_that_cannot_start_says_why(aws):
    aws.create("broken", Environment={"Variables": {"BROKEN": "1"}})
    response = aws.functions.invoke(FunctionName="broken", Payload="{}")
    assert response["FunctionError"]
    assert "cannot start" in response["Payload"].read().decode()


def test_concurrent_events_get_processes_of_their_own(aws, function):
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: aws.invoke(function, do="sleep", seconds=1)[0], range(3)))
    assert len({answer["pids"][0] for answer in answers}) == 3


def test_deleting_a_function_ends_its_processes(aws):
    aws.create("short-lived")
    pids = aws.invoke("short-lived", do="spawn")[0]["pids"]
    aws.functions.delete_function(FunctionName="short-lived")
    eventually_gone(pids)


def test_concurrent_conditional_writes_have_one_winner(aws):
    table = aws.client("dynamodb")
    table.create_table(
        TableName="race",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def write(number: int) -> bool:
        try:
            table.put_item(
                TableName="race",
                Item={"id": {"S": f"k{number // 8}"}},
                ConditionExpression="attribute_not_exists(id)",
            )
        except table.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(write, range(160)))
    assert sum(won) == 20


@pytest.mark.parametrize("killed", [False, True])
def test_no_function_outlives_localstack(killed):
    with start(ROOT, progress=print, services=["localstack"], name="executor") as stack:
        aws = Aws(stack.aws_url)
        aws.create("orphan")
        pids = aws.invoke("orphan", do="spawn")[0]["pids"]
        assert all(identity(pid) for pid in pids)
        (server,) = children(stack.processes[0].pid)
        if killed:
            os.kill(server, signal.SIGKILL)
        else:
            stack.stop()
        eventually_gone([server, *pids])


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def eventually_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(identity(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
