"""The settings of a job choose what trains it: boxes need a trainer that learns them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord
from octospoon.adapters.dynamodb.control.training import DynamoControl
from octospoon.domain.errors import NotConfigured
from octospoon.domain.training.jobs import JobSettings, JobStatus, TrainingState
from octospoon.training.command.trainer import CommandTrainer
from octospoon.training.detector.trainer import DetectorTrainer
from octospoon.training.wiring import training_ports

JOB = "train-000001"
BOXES = JobSettings(("cat", "dog"), "finetune", "minutes=2,flip=true", task_type="detection")


@pytest.fixture(autouse=True)
def failed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the reasons of jobs that failed."""
    for name in ("IMAGES_BUCKET", "ARTIFACTS_BUCKET", "POOL_TABLE", "ANNOTATIONS_TABLE", "CONTROL_TABLE"):
        monkeypatch.setenv(f"OCTOSPOON_{name}", "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    reasons: list[str] = []
    monkeypatch.setattr(DynamoControl, "fail", lambda _, job, reason, at: reasons.append(reason))
    monkeypatch.setattr(DynamoTaskTypeRecord, "read", lambda _: "detection")
    return reasons


def asked(monkeypatch: pytest.MonkeyPatch, settings: JobSettings) -> None:
    state = TrainingState(JobStatus.LAUNCHING, JOB, 1, settings=settings)
    monkeypatch.setattr(DynamoControl, "state", lambda _: state)


def test_fine_tuning_trains_a_detector_for_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, BOXES)
    monkeypatch.setenv("OCTOSPOON_DEVICE", "cpu")
    monkeypatch.setenv("OCTOSPOON_TIME_LIMIT", "600")

    ports = training_ports(JOB)

    trainer = ports.trainer
    assert ports.task_type.name == "detection"
    assert isinstance(trainer, DetectorTrainer)
    assert (trainer.options.minutes, trainer.options.flip, trainer.device) == (2.0, True, "cpu")
    assert 500 < trainer.until - time.monotonic() < 600


def test_a_command_trains_boxes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, replace(BOXES, trainer="command"))
    monkeypatch.setenv("OCTOSPOON_TRAINER_COMMAND", "python train.py")
    assert isinstance(training_ports(JOB).trainer, CommandTrainer)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trainer": "head"}, "Trainer=head learns no boxes: .* set Trainer=finetune or"),
        ({"class_weights": "balanced"}, "without class weights: set ClassWeights=none"),
        ({"fine_tuning": "shift=0.1"}, "FineTuning is 'shift=0.1'.*its options are epochs, least_steps"),
        ({"fine_tuning": "minutes=0"}, "FineTuning is 'minutes=0'.*minutes"),
    ],
)
def test_settings_that_suit_no_detector_are_refused(
    monkeypatch: pytest.MonkeyPatch, failed: list[str], wrong: dict[str, str], message: str
) -> None:
    asked(monkeypatch, replace(BOXES, **wrong))
    with pytest.raises(NotConfigured, match=message) as error:
        training_ports(JOB)
    assert failed == [f"NotConfigured: {error.value}"], "`status` shows it"
