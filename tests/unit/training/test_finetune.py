"""Fine-tuning without PyTorch. Tests with it are in tests/integration/training/finetune_cases.py."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from unit.training.stack import JOB, World, starter

from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord
from octospoon.adapters.dynamodb.control.training import DynamoControl
from octospoon.adapters.s3.images import S3Images
from octospoon.cli.datasets import digits
from octospoon.cli.local.trainer import trainer_environment
from octospoon.domain.errors import NotConfigured
from octospoon.domain.training.jobs import JobSettings, JobStatus, TrainingState
from octospoon.training.finetune.options import FineTuning
from octospoon.training.finetune.trainer import FineTuner
from octospoon.training.job.run import run
from octospoon.training.wiring import training_ports

if TYPE_CHECKING:
    from pathlib import Path


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )


def test_without_pytorch_the_job_fails_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without_torch(monkeypatch)
    made = World()
    for index in range(30):
        made.label(index, digits.CLASSES[digits.labels()[index]])
    made.serve(starter())

    with pytest.raises(NotConfigured, match=r"here torch is not installed: install octospoon\[finetune\]"):
        run(JOB, replace(made.ports, trainer=FineTuner(made.images)))

    assert made.control.state().status is JobStatus.FAILED
    assert "octospoon[finetune]" in made.control.state().reason


def test_options_are_read_and_wrong_ones_named() -> None:
    options = FineTuning.read("epochs=7, flip=true,learning_rate=0.02")
    assert (options.epochs, options.flip, options.learning_rate) == (7, True, 0.02)
    assert options.params()["fine_tuning_epochs"] == "7"
    assert FineTuning.read("") == FineTuning()
    assert not FineTuning().flip, "a mirrored digit is no digit"
    for wrong, message in (("epoch=7", "epoch"), ("epochs=0", "epochs"), ("shift=0.9", "shift")):
        with pytest.raises(NotConfigured, match=message):
            FineTuning.read(wrong)


def test_the_setting_chooses_the_trainer_and_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("IMAGES_BUCKET", "ARTIFACTS_BUCKET", "POOL_TABLE", "ANNOTATIONS_TABLE", "CONTROL_TABLE"):
        monkeypatch.setenv(f"OCTOSPOON_{name}", "x")
    monkeypatch.setenv("OCTOSPOON_CLASSES", "what,the,trainer,was,started,with")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    state, failed = TrainingState(JobStatus.LAUNCHING, JOB, 1, settings=JobSettings(("cat", "dog"))), []
    monkeypatch.setattr(DynamoControl, "state", lambda _: state)
    monkeypatch.setattr(DynamoControl, "fail", lambda _, job, reason, at: failed.append((job, reason)))
    monkeypatch.setattr(DynamoTaskTypeRecord, "read", lambda _: "classification")
    ports = training_ports(JOB)
    assert ports.classes == ("cat", "dog")
    assert not isinstance(ports.trainer, FineTuner)

    state = replace(
        state, settings=JobSettings(("cat", "dog", "owl"), "finetune", "epochs=7", class_weights="balanced")
    )
    ports = training_ports(JOB)
    assert ports.classes == ("cat", "dog", "owl")
    trainer = ports.trainer
    assert isinstance(trainer, FineTuner)
    assert (trainer.options.epochs, trainer.balanced) == (7, True)
    assert isinstance(trainer.images, S3Images)

    refused = JobSettings(("cat", "dog"), "finetune", "epochs=0")
    several = JobSettings(("cat", "dog"), task_type="multilabel")
    unknown = JobSettings(("cat", "dog"), task_type="poetry")
    for wrong, message in (
        (refused, "FineTuning"),
        (several, "labels of the task type classification"),
        (unknown, "this trainer does not know"),
        (None, "earlier release"),
    ):
        state = replace(state, settings=wrong)
        with pytest.raises(NotConfigured, match=message):
            training_ports(JOB)
        assert failed[-1][0] == JOB
        assert message in failed[-1][1], "the control item says it, so that `status` does"

    monkeypatch.chdir(tmp_path)
    assert trainer_environment("head") == "mlflow"
    with pytest.raises(NotConfigured, match="make finetune"):
        trainer_environment("finetune")
    program = tmp_path / ".octospoon/envs/finetune/bin/python"
    program.parent.mkdir(parents=True)
    program.touch()
    assert trainer_environment("finetune") == "finetune"
