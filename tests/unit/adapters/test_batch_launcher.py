"""What AWS Batch is asked for, held to AWS's models; tests/integration/adapters has the same over moto."""

from __future__ import annotations

import re

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber
from fakes.clock import FakeClock

from octospoon.adapters.aws.batch_launcher import LAUNCH_LEASE, BatchLauncher, BatchTarget
from octospoon.domain.errors import PermanentError, RetryableError
from octospoon.domain.training.jobs import Fate

QUEUE = "arn:aws:batch:us-east-1:000000000000:job-queue/q"
TARGET = BatchTarget(QUEUE, "arn:aws:batch:us-east-1:000000000000:job-definition/d:3", "prod")
JOB = "train-000007"
LOOK = {"jobQueue": QUEUE, "filters": [{"name": "JOB_NAME", "values": [JOB]}]}
SUBMIT = {
    "jobName": JOB,
    "jobQueue": QUEUE,
    "jobDefinition": TARGET.definition,
    "containerOverrides": {"command": ["run", "--job-id", JOB]},
    "tags": {"octospoon:stack": "prod"},
}
NOW = 1_800_000_000.0


@pytest.fixture(name="batch")
def stubbed():
    client = boto3.client(
        "batch", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stubber:
        yield BatchLauncher(client, client, TARGET, FakeClock(NOW)), stubber
        stubber.assert_no_pending_responses()


def job(status: str, age: float = 60.0, number: int = 1, **more: object) -> dict[str, object]:
    return {
        "jobId": f"id-{number}",
        "jobName": JOB,
        "status": status,
        "createdAt": int((NOW - age) * 1000),
    } | more


def add_described_jobs(stubber: Stubber, *jobs: dict[str, object]) -> None:
    stubber.add_response("list_jobs", {"jobSummaryList": list(jobs)}, LOOK)


def submitted(stubber: Stubber) -> None:
    stubber.add_response("submit_job", {"jobName": JOB, "jobId": "id-2"}, SUBMIT)


def test_job_has_its_id_as_name_and_a_tag(batch):
    launcher, stubber = batch
    add_described_jobs(stubber)
    submitted(stubber)
    launcher.launch(JOB)


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"])
def test_job_that_waits_or_runs_is_not_submitted_again(batch, status):
    launcher, stubber = batch
    add_described_jobs(stubber, job(status, age=10 * LAUNCH_LEASE))
    launcher.launch(JOB)


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_job_that_just_ended_is_not_submitted_again(batch, status):
    launcher, stubber = batch
    add_described_jobs(stubber, job(status))
    launcher.launch(JOB)


def test_old_job_of_the_same_name_blocks_nothing(batch):
    launcher, stubber = batch
    add_described_jobs(stubber, job("SUCCEEDED", age=LAUNCH_LEASE + 1))
    submitted(stubber)
    launcher.launch(JOB)


def test_job_on_a_later_page_is_found(batch):
    launcher, stubber = batch
    stubber.add_response("list_jobs", {"jobSummaryList": [], "nextToken": "t"}, LOOK)
    stubber.add_response("list_jobs", {"jobSummaryList": [job("RUNNING")]}, LOOK | {"nextToken": "t"})
    launcher.launch(JOB)


def test_error_with_which_the_job_was_taken_is_no_error(batch):
    launcher, stubber = batch
    add_described_jobs(stubber)
    stubber.add_client_error("submit_job", "ServerException", "no answer", 500, expected_params=SUBMIT)
    add_described_jobs(stubber, job("SUBMITTED"))
    launcher.launch(JOB)


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        ("ClientException", "Job Queue q does not exist", 400),
        ("ClientException", "Error executing request, Exception : JobQueue is disabled", 400),
        ("ClientException", "Job Definition d:3 is not active", 400),
        ("AccessDeniedException", "User is not authorized to perform: batch:SubmitJob", 403),
    ],
)
def test_job_that_batch_never_takes_is_refused_with_the_reason(batch, code, message, status):
    launcher, stubber = batch
    add_described_jobs(stubber)
    stubber.add_client_error("submit_job", code, message, status, expected_params=SUBMIT)
    with pytest.raises(PermanentError, match=f"submitting {JOB} to AWS Batch: .*{re.escape(message)}"):
        launcher.launch(JOB)


@pytest.mark.parametrize(
    ("code", "status"),
    [("ServerException", 500), ("TooManyRequestsException", 429), ("ThrottlingException", 400)],
)
@pytest.mark.parametrize("at", ["list_jobs", "submit_job"])
def test_outage_is_tried_again_later(batch, code, status, at):
    launcher, stubber = batch
    if at == "submit_job":
        add_described_jobs(stubber)
    stubber.add_client_error(at, code, "later", status)
    if at == "submit_job":
        add_described_jobs(stubber)
    with pytest.raises(RetryableError, match="later"):
        launcher.launch(JOB)


def test_queue_that_may_not_be_read_is_refused_first(batch):
    launcher, stubber = batch
    stubber.add_client_error("list_jobs", "AccessDeniedException", "not authorized", 403)
    with pytest.raises(PermanentError, match="not authorized"):
        launcher.launch(JOB)


def test_connection_that_breaks_is_an_outage(batch, monkeypatch):
    launcher, stubber = batch
    add_described_jobs(stubber)
    add_described_jobs(stubber)

    def broken(**_: object) -> None:
        raise ReadTimeoutError(endpoint_url="https://batch")

    monkeypatch.setattr(launcher._once, "submit_job", broken)
    with pytest.raises(RetryableError, match="ReadTimeoutError"):
        launcher.launch(JOB)


CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
PULL = "CannotPullContainerError: pull image manifest has been retried"


@pytest.mark.parametrize(
    ("jobs", "fate"),
    [
        ([], None),
        ([job("SUBMITTED")], Fate(over=False, text="AWS Batch says SUBMITTED")),
        (
            [job("RUNNABLE", statusReason=CAPACITY)],
            Fate(over=False, text=f"AWS Batch says RUNNABLE: {CAPACITY}"),
        ),
        (
            [job("FAILED", statusReason="Task failed to start", container={"reason": PULL})],
            Fate(over=True, text=f"AWS Batch says FAILED: Task failed to start: {PULL}"),
        ),
        (
            [
                job(
                    "FAILED",
                    statusReason="Essential container in task exited",
                    container={"exitCode": 137, "reason": "OutOfMemoryError: Container killed"},
                )
            ],
            Fate(
                over=True,
                text="AWS Batch says FAILED: Essential container in task exited: "
                "OutOfMemoryError: Container killed: exit code 137",
            ),
        ),
        # the container that found the job taken ended, the one that took it runs
        (
            [job("FAILED", number=2, container={"exitCode": 1}), job("RUNNING", number=1)],
            Fate(over=False, text="AWS Batch says RUNNING"),
        ),
        # the newest first, as AWS lists them
        (
            [job("FAILED", number=2, statusReason="b"), job("FAILED", number=1, statusReason="a")],
            Fate(over=True, text="AWS Batch says FAILED: b"),
        ),
    ],
)
def test_fate_of_a_job_has_the_reasons_of_batch(batch, jobs, fate):
    launcher, stubber = batch
    add_described_jobs(stubber, *jobs)
    assert launcher.fate(JOB) == fate


def test_only_what_is_left_of_a_job_is_stopped(batch):
    launcher, stubber = batch
    add_described_jobs(stubber, job("RUNNABLE", number=3), job("RUNNING", number=2), job("FAILED", number=1))
    for number in (3, 2):
        request = {"jobId": f"id-{number}", "reason": f"{JOB} is over"}
        stubber.add_response("terminate_job", {}, request)
    launcher.stop(JOB)


@pytest.mark.parametrize("method", ["fate", "stop"])
def test_errors_of_questions_are_translated(batch, method):
    launcher, stubber = batch
    stubber.add_client_error("list_jobs", "ServerException", "later", 500)
    with pytest.raises(RetryableError, match=f"{JOB}.*later"):
        getattr(launcher, method)(JOB)
