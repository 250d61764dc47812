"""`Trainer=command` on the real local stack: programs that fail, and one that goes into service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import onnx
import pytest
from e2e.helpers import digit_pictures, label_round, scored, serving, upload
from e2e.test_models import MODEL
from onnx import numpy_helper
from unit.training.networks import network

from octospoon.adapters.aws.sqs_launcher import QueueLauncher
from octospoon.cli.datasets import digits
from octospoon.cli.local.assemble import LocalStack, assemble
from octospoon.cli.operations import run_now
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack import start
from octospoon.domain.training.jobs import JobStatus
from octospoon.domain.training.policy import job_id

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".octospoon/envs/mlflow/bin/python"
WITH_PYTORCH = ROOT / ".octospoon/envs/finetune/bin/python"
BATCH = 150
SECONDS = 400
"""The time limit of a job. It ends itself a minute before, and leaves two more for the evaluation."""

pytestmark = [pytest.mark.stack(own=True), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module", name="folder")
def folder_of_the_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("program")


@pytest.fixture(scope="module", name="running")
def stack_with_a_program(request: pytest.FixtureRequest, folder: Path) -> Iterator[LocalStack]:
    """A separate stack, whose trainer runs the script that a test has written."""
    if not request.config.getoption("--trainer-command"):
        pytest.skip("takes minutes: `make trainer-command` runs this")
    parameters = {
        "BatchSize": str(BATCH),
        "FirstBatchSize": str(BATCH),
        "TrainingThreshold": str(BATCH),
        "RankSchedule": "rate(1 day)",
        "RankTriggers": "schedule",
        "ReconcileSchedule": "rate(1 day)",
        "Trainer": "command",
        "TrainerCommand": f"sh {folder}/program.sh",
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        start(ROOT, progress=print, fresh=True, name="command") as servers,
    ):
        patch.setenv("OCTOSPOON_TIME_LIMIT", str(SECONDS))
        stack = assemble(servers, digits.CLASSES, print, parameters)
        yield stack
        stack.label_studio.close()


def program(folder: Path, script: str) -> None:
    (folder / "program.sh").write_text(script)


def ended(stack: LocalStack, jobs: int, status: JobStatus) -> str:
    """Wait until a job has ended in this way; return its reason."""

    def look() -> str | None:
        state = stack.deployment.control.state()
        if state.jobs < jobs or state.is_active:
            return None
        assert state.status is status, state.reason
        return state.reason

    return wait_for(f"the end of job {jobs}", look, seconds=SECONDS + 60)


def begin(stack: LocalStack) -> int:
    """Begin a job as `collect` does; return its number."""
    control = stack.deployment.control
    state = control.state()
    new = job_id(state)
    assert control.begin(state, new, "a test", 2e10, state.settings)
    QueueLauncher(stack.deployment.client("sqs"), stack.deployment.outputs["TrainingQueueUrl"]).launch(new)
    return state.jobs + 1


def next_round(stack: LocalStack) -> None:
    number = stack.deployment.rounds.last_number() + 1
    assert run_now.rank(stack.deployment).exported == BATCH
    round_ = stack.deployment.rounds.read(number)
    assert round_ is not None
    label_round(stack, round_)


def test_crash_fails_its_job_and_labels_start_the_next(running: LocalStack, folder: Path) -> None:
    program(folder, "echo 'I cannot train' >&2; exit 3")
    keys = upload(running.deployment, digit_pictures("programs/", range(2 * BATCH + 50)))
    scored(running.deployment, keys, seconds=300)
    next_round(running)

    reason = ended(running, 1, JobStatus.FAILED)

    assert "ended with exit code 3; its last lines: I cannot train" in reason
    network = f"{ROOT}/examples/trainers/torchvision_network.py --size 32 --epochs 10"
    program(folder, f"exec {WITH_PYTORCH} {network}")
    next_round(running)
    reason = ended(running, 2, JobStatus.IDLE)
    assert serving(running.deployment).version >= 1, reason


def test_run_in_mlflow_shows_program_and_epochs(running: LocalStack) -> None:
    base = f"{running.project.mlflow_url}/api/2.0/mlflow"
    named = {"name": MODEL, "alias": "champion"}
    version = httpx.get(f"{base}/registered-models/alias", params=named).json()["model_version"]
    data = httpx.get(f"{base}/runs/get", params={"run_id": version["run_id"]}).json()["run"]["data"]
    params = {param["key"]: param["value"] for param in data["params"]}
    metrics = {metric["key"]: metric["value"] for metric in data["metrics"]}
    history = httpx.get(
        f"{base}/metrics/get-history",
        params={"run_id": version["run_id"], "metric_key": "epoch_held_out_loss"},
    ).json()["metrics"]

    assert params["trainer"] == "command"
    assert params["trainer_command"].endswith("program.sh")
    assert metrics["audit_accuracy"] > 0.3, "a slow machine has time for a few epochs only"
    assert [point["step"] for point in history] == list(range(len(history)))
    assert history
    print(f"audit accuracy {metrics['audit_accuracy']:.3f} over {metrics['audit_labels']:.0f} labels")


def wrong(folder: Path, name: str) -> str:
    """Return a script that writes a wrong model."""
    model = network(classes=3 if name == "classes" else 10)
    if name == "NaN":
        for tensor in model.graph.initializer:
            if tensor.name == "weights":
                tensor.CopyFrom(numpy_helper.from_array(np.full((8, 10), np.nan, np.float32), "weights"))
    onnx.save(model, folder / f"{name}.onnx")
    return f"cp {folder}/{name}.onnx $OCTOSPOON_OUTPUT/model.onnx"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NaN", "has NaN or infinite numbers for an image"),
        ("classes", "tells 3 classes apart, --classes names 10"),
        ("hang", "so it was stopped: make it faster, or raise TrainingTimeLimit; its last lines: waiting"),
    ],
)
def test_lie_or_hang_fails_a_job_and_the_champion_stays(
    running: LocalStack, folder: Path, name: str, reason: str
) -> None:
    before = serving(running.deployment)
    program(folder, "echo waiting; sleep 1000" if name == "hang" else wrong(folder, name))

    assert reason in ended(running, begin(running), JobStatus.FAILED)

    assert serving(running.deployment) == before


def test_job_after_all_these_ends_well(running: LocalStack, folder: Path) -> None:
    program(folder, f"exec {PYTHON} {ROOT}/examples/trainers/scikit_learn.py")
    ended(running, begin(running), JobStatus.IDLE)
