"""`octospoon worker` reads all settings of a worker from the stack."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from octospoon.cli.deploy import sam_template
from octospoon.cli.main import main
from octospoon.cli.operations import worker
from octospoon.domain.errors import NotConfigured
from octospoon.runtime.settings import TrainerSettings, WorkerSettings, load

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
OUTPUTS = {
    **{name: name.lower() for name in ("ImagesBucket", "ArtifactsBucket", "PoolTable", "AnnotationsTable")},
    "ControlTable": "control",
    "TrainingQueueUrl": "https://queue",
    "Launcher": "queue",
    "Trainer": "head",
    "TrainerCommand": "",
    "TrainingTimeLimit": "43200",
    "MlflowPasswordSecretArn": "arn:mlflow",
    "DagshubTokenSecretArn": "arn:dagshub",
    "DagshubRepository": "me/mine",
}


def deployment(**outputs: str) -> Any:
    return SimpleNamespace(
        outputs=OUTPUTS | outputs,
        mlflow_url="https://mlflow",
        settings={"OCTOSPOON_MLFLOW_USERNAME": "me"},
        password=lambda name: f"password of {name}",
        secret=lambda name: f"token of {name}",
        endpoint_url="http://127.0.0.1:1",
    )


def test_a_worker_gets_what_a_training_task_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = worker.worker_settings(deployment())

    task = sam_template.read(ROOT / "template.yaml")["Resources"]["TrainingTask"]
    given = json.dumps(task["Properties"]["ContainerDefinitions"][0])
    # the device and the time are those of the worker's own machine
    own = {"OCTOSPOON_DEVICE", "OCTOSPOON_TIME_LIMIT"}
    assert set(re.findall(r'"Name": "([A-Z_]+)"', given)) - own == settings.keys() - {
        "OCTOSPOON_TRAINING_QUEUE_URL"
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert load(WorkerSettings).training_queue_url == "https://queue"
    assert msgspec.to_builtins(load(TrainerSettings))["dagshub_repository"] == "me/mine"
    assert settings["MLFLOW_TRACKING_PASSWORD"] == "password of arn:mlflow"
    assert settings["DAGSHUB_USER_TOKEN"] == "token of arn:dagshub"


def test_outputs_that_a_worker_reads_exist() -> None:
    outputs = sam_template.read(ROOT / "template.yaml")["Outputs"]
    assert OUTPUTS.keys() <= outputs.keys()


def test_a_program_gets_its_command_and_a_limit_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCTOSPOON_TIME_LIMIT", raising=False)
    given = {"Trainer": "command", "TrainerCommand": "train {data}", "TrainingTimeLimit": "700"}
    settings = worker.worker_settings(deployment(**given))
    assert settings["OCTOSPOON_TRAINER_COMMAND"] == "train {data}"
    assert settings["OCTOSPOON_TIME_LIMIT"] == "700", "a program that hangs stops no worker for ever"

    monkeypatch.setenv("OCTOSPOON_TIME_LIMIT", "90")
    assert worker.worker_settings(deployment(**given))["OCTOSPOON_TIME_LIMIT"] == "90"


def test_a_stack_of_an_earlier_release_has_no_program() -> None:
    earlier = deployment()
    del earlier.outputs["TrainerCommand"], earlier.outputs["TrainingTimeLimit"]
    settings = worker.worker_settings(earlier)
    assert settings["OCTOSPOON_TRAINER_COMMAND"] == ""
    assert "OCTOSPOON_TIME_LIMIT" not in settings


def test_a_server_without_sign_in_needs_no_secret() -> None:
    settings = worker.worker_settings(deployment(MlflowPasswordSecretArn="", DagshubTokenSecretArn=""))
    assert not {"MLFLOW_TRACKING_PASSWORD", "DAGSHUB_USER_TOKEN"} & settings.keys()


def test_a_stack_that_needs_no_worker_says_so() -> None:
    for launcher in ("ecs", "batch"):
        with pytest.raises(NotConfigured, match=f"with Launcher={launcher}: a worker needs"):
            worker.worker_settings(deployment(Launcher=launcher))
    without = deployment()
    without.mlflow_url = ""
    with pytest.raises(NotConfigured, match="MlflowTrackingUri"):
        worker.worker_settings(without)


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that replaces the trainer's Python by a program."""

    def put(code: str) -> Path:
        program = tmp_path / "python"
        program.write_text(f"#!{sys.executable}\nimport json, os, signal, sys, time\n{code}\n")
        program.chmod(0o700)
        monkeypatch.setattr(worker, "trainer_python", lambda **_: str(program))
        monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: deployment())
        return tmp_path / "python.seen"

    return put


def test_the_worker_runs_with_the_settings(python: Callable[[str], Path]) -> None:
    record = python(
        "open(sys.argv[0] + '.seen', 'w').write(json.dumps([sys.argv[1:], dict(os.environ)])); sys.exit(3)"
    )
    assert main(["worker"]) == 3
    arguments, environment = json.loads(record.read_text())
    assert arguments == ["-m", "octospoon.training", "worker"]
    assert environment["OCTOSPOON_TRAINING_QUEUE_URL"] == "https://queue"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


def test_a_stop_reaches_the_worker(python: Callable[[str], Path]) -> None:
    python(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
        "os.kill(os.getppid(), signal.SIGTERM); time.sleep(30)"
    )
    before = signal.getsignal(signal.SIGTERM)
    assert main(["worker"]) == 7
    assert signal.getsignal(signal.SIGTERM) is before
