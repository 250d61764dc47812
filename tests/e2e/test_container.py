"""One training job as two processes and as a container: files and measures are always the same."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import time
import uuid
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from conftest import ROOT
from contract.conftest import copy_table
from unit.training.stack import backbone, embeddings

from octospoon.adapters.aws.sqs_launcher import QueueLauncher
from octospoon.adapters.dynamodb.label_counter import LabelCounter
from octospoon.adapters.dynamodb.pool.scores import Order
from octospoon.adapters.dynamodb.pool.scoring import DynamoScoringPool
from octospoon.adapters.mlflow.registry import JOB_TAG
from octospoon.adapters.s3.rounds import S3Snapshots
from octospoon.cli.datasets import digits
from octospoon.cli.deployment import Deployment, LocalProject
from octospoon.cli.local.trainer import trainer_settings
from octospoon.cli.operations.first_model import init_model
from octospoon.cli.operations.queues import depth
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.services import base_environment
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.pool.images import ImageRef, Prediction, ScoredImage
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.jobs import JobSettings
from octospoon.training.model.model_file import sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.model_spec import ChampionPointer

    Start = Callable[[Sequence[str], Mapping[str, str]], subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.stack

JOB = "train-000001"
UPLOADS = 400
LABELLED = 120
NOT_IN_THE_POOL = 20
"""Labelled images that the job has to read, decode and embed itself."""
AUDIT_EVERY = 5
SECONDS = 240
VERSIONS = "import numpy, scipy, sklearn; print(numpy.__version__, scipy.__version__, sklearn.__version__)"
ROUNDING = 1e-6
"""Relative difference of figures that other versions of NumPy and SciPy may give."""


@dataclass(frozen=True)
class Result:
    """The results of a job: its pointer, the sha256 of every file in the bucket, and its MLflow run."""

    pointer: ChampionPointer
    files: dict[str, str]
    measures: dict[str, float]
    metrics: dict[str, float]
    params: dict[str, str]


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> str:
    """Return the name of a built training image. Requested first, so that nothing starts in vain."""
    name = request.config.getoption("--training-image")
    if not name:
        pytest.skip("no training image was named: `make container` builds one and runs this")
    return str(name)


@pytest.fixture(scope="module")
def project(stack: LocalStack) -> LocalProject:
    """The stack with a separate images bucket and pool."""
    name, s3 = f"container-{uuid.uuid4().hex}", stack.deployment.client("s3")
    s3.create_bucket(Bucket=name)
    for index in range(NOT_IN_THE_POOL):
        s3.put_object(Bucket=name, Key=key(index), Body=digits.png_bytes(index))
    pool = copy_table(stack.deployment.client("dynamodb"), stack.project.outputs["PoolTable"])
    changed = with_outputs(stack.project, ImagesBucket=name, PoolTable=pool)
    dynamodb = Deployment(changed.outputs, changed.endpoint_url).client("dynamodb")
    counter = LabelCounter(dynamodb, changed.outputs["ControlTable"])
    scoring = DynamoScoringPool(dynamodb, pool, Order("margin", CLASSIFICATION), time.time, counter)
    scoring.insert_scores([scored(index) for index in range(NOT_IN_THE_POOL, UPLOADS)])
    return changed


@pytest.fixture(scope="module")
def process(stack: LocalStack, project: LocalProject) -> Result:
    return result_of(as_process, stack, project)


def as_process(command: Sequence[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    python = Layout(ROOT).program("mlflow", "python")
    return ended([str(python), "-m", "octospoon.training", *command], base_environment() | dict(settings))


def as_container(image: str) -> Start:
    def start(command: Sequence[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        given = [part for name in settings for part in ("--env", name)]
        return docker("run", "--rm", "--network", "host", *given, image, *command, settings=settings)

    return start


def as_worker(image: str, stack: LocalStack) -> Start:
    """A worker in a container, which takes the job from a queue and stops on request."""

    def start(command: Sequence[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        sqs = stack.deployment.client("sqs")
        url = sqs.create_queue(QueueName=f"worker-{uuid.uuid4().hex}")["QueueUrl"]
        given = {**settings, "OCTOSPOON_TRAINING_QUEUE_URL": url}
        names = [part for name in given for part in ("--env", name)]
        QueueLauncher(sqs, url).launch(command[-1])
        worker = docker("run", "--detach", "--network", "host", *names, image, "worker", settings=given)
        name = worker.stdout.strip()
        try:
            wait_for("the job", lambda: None if sum(depth(sqs, url)) else True, seconds=SECONDS)
            docker("stop", name)
            code = docker("inspect", "--format", "{{.State.ExitCode}}", name)
            output = docker("logs", name)
        finally:
            docker("rm", "--force", name)
        return subprocess.CompletedProcess(command, int(code.stdout), output.stdout, output.stderr)

    return start


def docker(*arguments: str, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return ended([os.environ.get("DOCKER", "docker"), *arguments], {**os.environ, **(settings or {})})


def ended(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def result_of(start: Start, stack: LocalStack, project: LocalProject) -> Result:
    """Run the job on the same labels, in a separate bucket, control table and experiment."""
    name = f"container-{uuid.uuid4().hex}"
    stack.deployment.client("s3").create_bucket(Bucket=name)
    control = copy_table(stack.deployment.client("dynamodb"), project.outputs["ControlTable"])
    project = with_outputs(project, ArtifactsBucket=name, ControlTable=control)
    deployment = Deployment(project.outputs, project.endpoint_url)
    init_model(deployment)
    S3Snapshots(deployment.artifacts).write(JOB, [labelled(index) for index in range(LABELLED)])
    given = JobSettings(deployment.classes, model_name=name, experiment=name)
    until = time.time() + SECONDS
    assert deployment.control.begin(deployment.control.state(), JOB, "labels", until, given)
    settings = stack.servers.aws_environment() | trainer_settings(project)

    process = start(["run", "--job-id", JOB], settings)

    assert process.returncode == 0, f"the job failed:\n{process.stdout}{process.stderr}"
    return left_by(deployment, name, project.mlflow_url)


def left_by(deployment: Deployment, experiment: str, mlflow_url: str) -> Result:
    stored, decision = deployment.champions.pointer(), deployment.history.decision(JOB)
    assert stored is not None
    assert decision is not None
    run = run_of(mlflow_url, experiment)
    return Result(
        stored[0],
        files(deployment),
        decision.measures,
        {metric["key"]: metric["value"] for metric in run["metrics"]},
        # every run has its own bucket
        {param["key"]: param["value"] for param in run["params"] if param["key"] != "dataset"},
    )


def files(deployment: Deployment) -> dict[str, str]:
    bucket, s3 = deployment.outputs["ArtifactsBucket"], deployment.client("s3")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return {key: digest(key, s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys}


def digest(key: str, body: bytes) -> str:
    """Return a file's sha256, or that of an archive's members: headers depend on Python's version."""
    if not key.endswith(".npz"):
        return sha256(body)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return sha256(b"".join(name.encode() + archive.read(name) for name in sorted(archive.namelist())))


def run_of(mlflow_url: str, experiment: str) -> Any:
    """Return the data of the only run of an experiment."""
    base = f"{mlflow_url}/api/2.0/mlflow"
    response = httpx.get(
        f"{base}/experiments/get-by-name", params={"experiment_name": experiment}, timeout=30
    )
    body = {
        "experiment_ids": [response.json()["experiment"]["experiment_id"]],
        "filter": f"tags.`{JOB_TAG}` = '{JOB}'",
    }
    (run,) = httpx.post(f"{base}/runs/search", json=body, timeout=30).json()["runs"]
    assert run["info"]["status"] == "FINISHED"
    return run["data"]


def with_outputs(project: LocalProject, **changed: str) -> LocalProject:
    return msgspec.structs.replace(project, outputs=project.outputs | changed)


def key(index: int) -> str:
    return f"container/{index:04d}.png"


def etag(index: int) -> str:
    return hashlib.md5(digits.png_bytes(index)).hexdigest()


def scored(index: int) -> ScoredImage:
    image = ImageRef(key(index), etag(index), "1", len(digits.png_bytes(index)))
    return ScoredImage(image, Prediction(0, backbone(), embeddings(UPLOADS)[index], None))


def labelled(index: int) -> LabelledImage:
    audit = index % AUDIT_EVERY == 0
    return LabelledImage(
        key=key(index),
        etag=etag(index),
        label=digits.CLASSES[digits.labels()[index]],
        agreement=1.0,
        annotators=1,
        audit=audit,
        strategy="random" if audit else "margin",
        draw_probability=LABELLED / UPLOADS if audit else None,
        round_number=1,
    )


def test_the_job_makes_a_model_of_every_labelled_image(process: Result) -> None:
    assert process.pointer.version == 1
    assert process.files[process.pointer.key] == process.pointer.sha256
    assert process.files[process.pointer.head_key] == process.pointer.head_sha256
    assert process.metrics["labels"] == LABELLED
    assert process.metrics["dropped_labels"] == 0
    assert process.metrics["audit_accuracy"] > 0.7


def test_same_snapshot_gives_the_same_weights_and_metrics(
    stack: LocalStack, project: LocalProject, process: Result
) -> None:
    assert result_of(as_process, stack, project) == process


@pytest.fixture(scope="module")
def same_libraries(image: str) -> bool:
    """Return True if image and process have the same libraries: pinned versions depend on Python's."""
    entry = ("--entrypoint", "python", image, "-c", VERSIONS)
    contained = docker("run", "--rm", "--network", "none", *entry)
    local = ended([str(Layout(ROOT).program("mlflow", "python")), "-c", VERSIONS], base_environment())
    assert contained.returncode == local.returncode == 0, contained.stderr + local.stderr
    print(f"\nimage: {contained.stdout.strip()}; process: {local.stdout.strip()}")
    return contained.stdout == local.stdout


def assert_same(contained: Result, process: Result, *, exactly: bool) -> None:
    """Check that two results are equal, bit by bit if the same libraries computed them."""
    if exactly:
        assert contained == process
        return
    assert contained.pointer.version == process.pointer.version
    assert contained.pointer.backbone == process.pointer.backbone
    assert len(contained.files) == len(process.files)
    assert contained.params == process.params
    assert contained.measures == pytest.approx(process.measures, rel=ROUNDING)
    assert contained.metrics == pytest.approx(process.metrics, rel=ROUNDING)


def test_container_gives_the_same_weights_and_metrics_as_a_process(
    image: str, stack: LocalStack, project: LocalProject, process: Result, *, same_libraries: bool
) -> None:
    contained = result_of(as_container(image), stack, project)

    assert_same(contained, process, exactly=same_libraries)
    accuracy, log_loss = process.metrics["audit_accuracy"], process.metrics["cross_validated_log_loss"]
    print(f"\n{len(process.metrics)} metrics equal, audit accuracy {accuracy}, log loss {log_loss}")
    print(f"{len(process.files)} files equal, head {process.pointer.head_sha256}")


def test_worker_in_a_container_finishes_a_job_from_the_queue(
    image: str, stack: LocalStack, project: LocalProject, process: Result, *, same_libraries: bool
) -> None:
    assert_same(result_of(as_worker(image, stack), stack, project), process, exactly=same_libraries)


def test_the_container_runs_as_nobody_who_may_change_it(image: str) -> None:
    user = docker("run", "--rm", "--network", "none", "--entrypoint", "id", image, "-u")
    assert user.returncode == 0, user.stderr
    assert int(user.stdout) != 0
    touched = docker("run", "--rm", "--network", "none", "--entrypoint", "touch", image, "/opt/octospoon/x")
    assert "Permission denied" in touched.stderr


def test_the_container_is_told_what_a_job_needs(image: str) -> None:
    bare = docker("run", "--rm", "--network", "none", image, "run", "--job-id", JOB)
    assert bare.returncode == 1
    assert "OCTOSPOON_" in bare.stderr


def test_pip_mirror_settings_are_not_in_the_image(image: str) -> None:
    history, inspected = docker("history", "--no-trunc", image), docker("image", "inspect", image)
    assert (history.returncode, inspected.returncode) == (0, 0), history.stderr + inspected.stderr
    assert "PIP_" not in history.stdout + inspected.stdout
