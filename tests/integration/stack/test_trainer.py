"""The local stack's worker is started again only when no job of its predecessor lives."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from fakes.clock import FakeClock
from fakes.training import FakeControl
from integration.stack.stand_ins import running

from octospoon.cli.deployment import LocalProject
from octospoon.cli.local.trainer import start_trainer
from octospoon.cli.stack import start
from octospoon.domain.training.jobs import JobStatus

OUTPUTS = (
    "ImagesBucket",
    "ArtifactsBucket",
    "PoolTable",
    "AnnotationsTable",
    "ControlTable",
    "TrainingQueueUrl",
)
PROJECT = LocalProject("", {"Trainer": "head", **dict.fromkeys(OUTPUTS, "")}, "", 1, "")
WORKER = "#!/bin/sh\nsleep 987 & \nwait\n"
"""With a job, which outlives it when it is killed."""


@pytest.fixture
def control() -> FakeControl:
    return FakeControl(FakeClock())


def begin_job(control: FakeControl) -> None:
    assert control.begin(control.state(), "train-000001", "3 labels", 1e10)
    assert control.start("train-000001", 1e10)


@pytest.fixture
def stack(root, monkeypatch):
    monkeypatch.chdir(root)
    python = root / ".octospoon/envs/mlflow/bin/python"
    python.write_text(WORKER)
    python.chmod(0o755)
    return start(root, progress=print, detached=True)


def jobs(root) -> list[str]:
    return [command for command in running(root) if "987" in command]


def start_worker(stack, control: FakeControl, **outputs: str) -> list[str]:
    lines: list[str] = []
    project = LocalProject("", PROJECT.outputs | outputs, "", 1, "")
    start_trainer(stack, project, control, lines.append)
    return lines


def test_a_job_that_outlived_its_worker_ends_before_it_restarts(root, stack, control):
    start_worker(stack, control)
    while not jobs(root):
        time.sleep(0.02)
    begin_job(control)
    (worker,) = [process for process in stack.processes if process.name == "trainer"]
    os.kill(worker.pid, signal.SIGKILL)
    while worker.alive():
        time.sleep(0.02)
    assert jobs(root), "it outlives its worker"
    (root / ".octospoon/envs/mlflow/bin/python").write_text("#!/bin/sh\nsleep 300\n")

    lines = start_worker(stack, control)

    assert not jobs(root)
    assert lines == ["training job train-000001 was interrupted and starts again", "starting the trainer"]
    assert control.start("train-000001", 1e10), "the new worker need not wait for the end of the lease"


def test_a_job_of_a_living_worker_is_left_alone(root, stack, control):
    start_worker(stack, control)
    begin_job(control)
    state = control.state()
    assert start_worker(stack, control) == []
    assert control.state() == state


def test_a_finished_job_is_not_started_again(root, stack, control):
    begin_job(control)
    control.finish("train-000001", "promoted")
    assert start_worker(stack, control) == ["starting the trainer"]
    assert control.state().status is JobStatus.IDLE


def test_worker_with_other_settings_takes_the_place_of_the_first(stack, control, monkeypatch):
    settings = {"Trainer": "command", "TrainingTimeLimit": "600"}
    assert start_worker(stack, control, TrainerCommand="first", **settings) == ["starting the trainer"]
    (first,) = [process for process in stack.processes if process.name == "trainer"]
    monkeypatch.setenv("DAGSHUB_USER_TOKEN", "only in this shell")
    assert start_worker(stack, control, TrainerCommand="first", **settings) == []

    assert start_worker(stack, control, TrainerCommand="second", **settings) == ["starting the trainer"]

    (second,) = [process for process in stack.processes if process.name == "trainer"]
    assert not first.alive()
    assert second.alive()
    environment = Path(f"/proc/{second.pid}/environ").read_text().split("\0")
    assert "OCTOSPOON_TRAINER_COMMAND=second" in environment
