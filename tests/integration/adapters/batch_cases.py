"""The launcher of AWS Batch against moto: test_batch.py runs this in LocalStack's environment, which has it.

A container is what a Batch job starts: it trains only if it moves the job from launching to running.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from fakes.clock import FakeClock
from fakes.training import FakeControl
from moto import mock_aws
from moto.batch.models import batch_backends

from octospoon.adapters.aws.batch_launcher import BatchLauncher, BatchTarget
from octospoon.domain.training.jobs import JobStatus, TrainingState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch import BatchClient

ACCOUNT, REGION, JOB = "123456789012", "us-east-1", "train-000007"


class Batch:
    """A queue of AWS Batch whose jobs stay as they are until a test moves them."""

    def __init__(self) -> None:
        self.client: BatchClient = boto3.client("batch")
        self.once: BatchClient = boto3.client("batch", config=Config(retries={"total_max_attempts": 1}))
        environment = self.client.create_compute_environment(
            computeEnvironmentName="gpus", type="UNMANAGED", serviceRole=self._role()
        )["computeEnvironmentArn"]
        queue = self.client.create_job_queue(
            jobQueueName="training",
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
        )["jobQueueArn"]
        definition = self.client.register_job_definition(
            jobDefinitionName="trainer",
            type="container",
            containerProperties={
                "image": "trainer",
                "resourceRequirements": [
                    {"type": "VCPU", "value": "2"},
                    {"type": "MEMORY", "value": "8192"},
                    {"type": "GPU", "value": "1"},
                ],
            },
        )["jobDefinitionArn"]
        self.target = BatchTarget(queue, definition, "prod")

    def launcher(self) -> BatchLauncher:
        return BatchLauncher(self.client, self.once, self.target, FakeClock(time.time()))

    def jobs(self) -> list[str]:
        """Return the statuses of all jobs of the queue."""
        return [job.status for job in batch_backends[ACCOUNT][REGION]._jobs.values()]

    def all_are(self, status: str, reason: str = "") -> None:
        for job in batch_backends[ACCOUNT][REGION]._jobs.values():
            job.status, job.job_stopped_reason = status, reason or None

    @staticmethod
    def _role() -> str:
        made = boto3.client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")
        return str(made["Role"]["Arn"])


@pytest.fixture(name="batch")
def on_moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[Batch]:
    for name, value in {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws(config={"batch": {"use_docker": False}}):
        yield Batch()


def containers_that_train(count: int) -> int:
    """Start that many containers of the job and return how many of them train it."""
    control = FakeControl(FakeClock())
    control.now_state = TrainingState(JobStatus.LAUNCHING, JOB, 7)
    return sum(control.start(JOB, control.clock.now() + 60) for _ in range(count))


def test_the_same_id_twice_is_one_job(batch: Batch) -> None:
    batch.launcher().launch(JOB)
    batch.launcher().launch(JOB)
    assert len(batch.jobs()) == 1
    batch.all_are("RUNNABLE")
    batch.launcher().launch(JOB)
    assert batch.jobs() == ["RUNNABLE"]
    batch.launcher().launch("train-000008")
    assert len(batch.jobs()) == 2


def test_processes_that_look_at_the_same_moment_train_once(batch: Batch) -> None:
    together = threading.Barrier(2)

    def looked(**_: object) -> None:
        together.wait(10)

    batch.once.meta.events.register("before-call.batch.SubmitJob", looked)
    launchers = [batch.launcher() for _ in range(2)]
    threads = [threading.Thread(target=launcher.launch, args=(JOB,)) for launcher in launchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(batch.jobs()) == 2, "this is what SubmitJob without a client token leaves possible"
    assert containers_that_train(2) == 1
    batch.launcher().launch(JOB)
    assert len(batch.jobs()) == 2


def dies(**_: object) -> None:
    raise SystemExit


def test_process_that_dies_before_it_submits_leaves_nothing(batch: Batch) -> None:
    batch.once.meta.events.register("before-call.batch.SubmitJob", dies)
    with pytest.raises(SystemExit):
        batch.launcher().launch(JOB)
    assert batch.jobs() == []
    assert batch.launcher().fate(JOB) is None, "the lease decides"
    batch.once.meta.events.unregister("before-call.batch.SubmitJob", dies)
    batch.launcher().launch(JOB)
    assert len(batch.jobs()) == 1


def test_process_that_dies_after_it_submitted_leaves_one_job(batch: Batch) -> None:
    batch.once.meta.events.register("after-call.batch.SubmitJob", dies)
    with pytest.raises(SystemExit):
        batch.launcher().launch(JOB)
    batch.launcher().launch(JOB)
    assert len(batch.jobs()) == 1


def test_lost_answer_is_neither_an_error_nor_another_job(batch: Batch) -> None:
    submitted = []

    def answered_and_lost(event_name: str, **_: object) -> None:
        if event_name.endswith("SubmitJob"):
            submitted.append(len(batch.jobs()))
            raise ReadTimeoutError(endpoint_url="https://batch")

    batch.once.meta.events.register_last("before-send", answered_and_lost)
    batch.launcher().launch(JOB)
    assert submitted == [1], "a client that repeats requests would have submitted more"


def test_fate_and_stop_follow_the_jobs_of_the_queue(batch: Batch) -> None:
    launcher = batch.launcher()
    launcher.launch(JOB)
    batch.all_are("RUNNABLE")
    waiting = launcher.fate(JOB)
    assert waiting
    assert (waiting.over, waiting.text) == (False, "AWS Batch says RUNNABLE")

    launcher.launch("train-000008")
    launcher.stop("train-000008")
    assert launcher.fate(JOB) == waiting

    batch.all_are("FAILED", "CannotPullContainerError")
    ended = launcher.fate(JOB)
    assert ended
    assert ended.over
    assert "CannotPullContainerError" in ended.text


def test_job_has_the_command_the_tag_and_a_gpu(batch: Batch) -> None:
    batch.launcher().launch(JOB)
    (job,) = batch_backends[ACCOUNT][REGION]._jobs.values()
    assert job.container_overrides["command"] == ["run", "--job-id", JOB]
    described = batch.client.describe_jobs(jobs=[job.job_id])["jobs"][0]
    assert described["jobName"] == JOB
    assert described["jobDefinition"] == batch.target.definition
