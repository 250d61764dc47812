from __future__ import annotations

import pytest

from octospoon.adapters.aws import batch_launcher
from octospoon.adapters.aws.batch_launcher import BatchLauncher, BatchTarget
from octospoon.adapters.aws.ecs_launcher import EcsLauncher
from octospoon.adapters.aws.sqs_launcher import QueueLauncher
from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord
from octospoon.domain.errors import NotConfigured
from octospoon.runtime.wiring.collect import collect
from octospoon.usecases.collect import LAUNCH_LEASE

SETTINGS = {
    "OCTOSPOON_IMAGES_BUCKET": "images",
    "OCTOSPOON_ARTIFACTS_BUCKET": "artifacts",
    "OCTOSPOON_POOL_TABLE": "pool",
    "OCTOSPOON_ANNOTATIONS_TABLE": "annotations",
    "OCTOSPOON_CONTROL_TABLE": "control",
    "OCTOSPOON_CLASSES": "cat,dog",
    "OCTOSPOON_STACK_NAME": "prod",
    "OCTOSPOON_BATCH_QUEUE": "arn:queue",
    "OCTOSPOON_BATCH_JOB_DEFINITION": "prod-training",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(DynamoTaskTypeRecord, "read", lambda _: "")


def test_jobs_on_batch_are_submitted_once_and_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTOSPOON_LAUNCHER", "batch")
    collected = collect()
    launcher = collected.launcher
    assert isinstance(launcher, BatchLauncher)
    assert launcher._target == BatchTarget("arn:queue", "prod-training", "prod")
    assert launcher._once.meta.config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]
    assert launcher._client is not launcher._once
    assert collected.lost_job
    assert collected.lost_job.platform is launcher
    assert collected.launch_lease == batch_launcher.LAUNCH_LEASE > LAUNCH_LEASE, "a machine has to be found"


@pytest.mark.parametrize(("name", "kind"), [("queue", QueueLauncher), ("ecs", EcsLauncher)])
def test_other_launchers_leave_lost_jobs_to_the_lease(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: type
) -> None:
    monkeypatch.setenv("OCTOSPOON_LAUNCHER", name)
    collected = collect()
    assert isinstance(collected.launcher, kind)
    assert collected.lost_job is None
    assert collected.launch_lease == LAUNCH_LEASE


def test_launcher_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTOSPOON_LAUNCHER", "hand")
    with pytest.raises(NotConfigured, match="must be queue, ecs or batch"):
        collect()
