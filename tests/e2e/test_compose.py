"""The loop in the containers of docker-compose.localstack.yml, from a fresh checkout, as a user starts it.

`make compose-test` runs it. The images are pulled, or built before by infra/stand-ins/build.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from conftest import ROOT
from e2e.checkouts import CLASSES, write_photos
from e2e.helpers import job_done, scored, serving

from octospoon.adapters.label_studio.api import LabelStudio, LabelStudioApi
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.cli.demo.oracle import annotate
from octospoon.cli.deployment import Deployment, LocalProject
from octospoon.cli.local.addresses import COMPOSE_CREDENTIALS
from octospoon.cli.operations import run_now
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack.credentials import credentials
from octospoon.domain.errors import OctospoonError
from octospoon.domain.training.jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from octospoon.domain.labelling.tasks import Pick

pytestmark = pytest.mark.timeout(2 * 3600)

PHOTOS = 100
"""Of each class."""
NEW_CLASS = "fox"
"""Added later, by command: no picture shows it."""
BATCH = 20
ROUNDS = 4
"""The most that are labelled until a model is promoted."""
SETTINGS = (
    f"BatchSize={BATCH} FirstBatchSize={BATCH} TrainingThreshold={BATCH} AuditShare=0.3 "
    "RankTriggers=schedule MaxOpenTasks=1"
)
PORTS = ("LOCALSTACK_PORT", "LABEL_STUDIO_PORT", "MLFLOW_PORT")
ENGINE = ROOT / "infra/stand-ins/engine"
LOG = ROOT / ".octospoon/logs/compose-test.log"
"""Gets what all containers said."""
MINUTES = 60.0
SECONDS_FOR_A_JOB = 600.0


class StackState(msgspec.Struct, frozen=True):
    """The state of a stack, as its servers report it."""

    labels: int
    annotations: int
    images: int
    objects: int
    version: int
    rounds: int
    runs: int
    classes: tuple[str, ...]
    interface: str
    """Of the labelling project, which offers the classes."""


@dataclass(frozen=True)
class Containers:
    """A checkout whose stack runs in containers.

    Attributes:
        root: the checkout.
        environment: in which its commands run.
    """

    root: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, seconds: float = 30 * MINUTES) -> str:
        """Run a command that must succeed; return what it printed."""
        ran = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        output = ran.stdout + ran.stderr
        assert ran.returncode == 0, f"{command}:\n{output[-6000:]}"
        return output

    def up(self) -> float:
        """Start the stack; return the seconds that it took."""
        began = time.monotonic()
        self.run("make", "dockercomposeup", f"CLASSES={','.join(CLASSES)}", f"SET={SETTINGS}")
        return time.monotonic() - began

    def octospoon(self, *arguments: str) -> str:
        return self.run(".venv/bin/octospoon", *arguments)

    @property
    def project(self) -> LocalProject:
        text = (self.root / ".octospoon/run/project.json").read_bytes()
        return msgspec.json.decode(text, type=LocalProject)

    @property
    def deployment(self) -> Deployment:
        return Deployment(self.project.outputs, self.project.endpoint_url)

    @cached_property
    def label_studio(self) -> LabelStudioApi:
        token = credentials(self.root / COMPOSE_CREDENTIALS).token
        return LabelStudioApi(self.project.label_studio_url, lambda: token)

    def state(self) -> StackState:
        deployment = self.deployment
        s3 = deployment.client("s3").get_paginator("list_objects_v2")
        pages = s3.paginate(Bucket=deployment.outputs["ImagesBucket"])
        project = self.label_studio.call("GET", f"/api/projects/{self.project.label_studio_project}")
        stored = deployment.champions.pointer()
        return StackState(
            labels=sum(1 for _ in deployment.labels.labelled()),
            annotations=project["total_annotations_number"],
            images=sum(deployment.pool_report.counts().values()),
            objects=sum(page["KeyCount"] for page in pages),
            version=stored[0].version if stored else -1,
            rounds=deployment.rounds.last_number(),
            runs=self.runs(),
            classes=deployment.classes,
            interface=project["label_config"],
        )

    def runs(self) -> int:
        """Return how many runs MLflow has."""
        base = f"{self.project.mlflow_url}/api/2.0/mlflow"
        experiment = httpx.get(f"{base}/experiments/get-by-name", params={"experiment_name": "octospoon"})
        if experiment.status_code == httpx.codes.NOT_FOUND:
            return 0
        body = {"experiment_ids": [experiment.raise_for_status().json()["experiment"]["experiment_id"]]}
        answer = httpx.post(f"{base}/runs/search", json=body, timeout=60)
        return len(answer.raise_for_status().json().get("runs", []))

    def choose(self) -> Sequence[Pick]:
        """Choose a batch and export it to Label Studio."""
        number = run_now.rank(self.deployment).round_number
        assert number is not None
        return self.deployment.rounds.read(number).picks

    def label(self, picks: Sequence[Pick], *, as_class: str = "") -> None:
        """Label images in Label Studio, with the given class or else with their true classes."""
        labeler = LabelStudio(self.label_studio, self.project.label_studio_project, SingleChoice())
        tasks = labeler.find({pick.key: pick.etag for pick in picks})
        for pick in picks:
            truth = next(name for name in CLASSES if f"{name}/" in pick.key)
            annotate(self.label_studio, tasks[pick.key], as_class or truth)

    def counted(self, labels: int) -> float:
        """Wait until all servers answer and every label in Label Studio counts; return the seconds."""
        began = time.monotonic()

        def look() -> bool | None:
            try:
                state = self.state()
            except (OctospoonError, httpx.HTTPError, BotoCoreError, ClientError):
                return None
            return True if state.labels == state.annotations == labels else None

        wait_for("every label in Label Studio to be counted", look, seconds=600, interval=2)
        return time.monotonic() - began

    def train(self) -> None:
        """Label a batch, and wait for the training job that it starts."""
        jobs = self.deployment.control.state().jobs
        self.label(self.choose())
        job_done(self.deployment, jobs + 1, seconds=SECONDS_FOR_A_JOB)


def free_ports() -> dict[str, str]:
    """Return a port of this machine for each server."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    numbers = {name: str(bound.getsockname()[1]) for name, bound in zip(PORTS, sockets, strict=True)}
    for bound in sockets:
        bound.close()
    return numbers


def clone(target: Path) -> None:
    """Copy the files of this checkout that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


@pytest.fixture(scope="module")
def containers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Containers]:
    """A fresh checkout; its containers and volumes are removed at the end."""
    if not request.config.getoption("--compose"):
        pytest.skip("`make compose-test` runs this: it needs a Docker engine and ten minutes")
    root = tmp_path_factory.mktemp("checkout")
    clone(root)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    outside |= free_ports() | {"COMPOSE_PROJECT_NAME": f"octospoon-test-{uuid.uuid4().hex[:8]}"}
    made = Containers(root, outside)
    try:
        yield made
        made.label_studio.close()
    finally:
        tool = made.run("make", "-s", "--eval=tool: ; @echo '$(COMPOSE)'", "tool").split()
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.write_text(made.run(*tool, "logs", "--no-color", "--timestamps"))
        made.run(*tool, "down", "--volumes", "--remove-orphans")


@pytest.fixture(scope="module")
def promoted(containers: Containers) -> Containers:
    """A new stack with a promoted model."""
    began = time.monotonic()
    started = containers.up()
    photos = containers.root / "photos"
    for name in CLASSES:
        write_photos(photos, name, range(PHOTOS))
    containers.octospoon("drop", "photos")
    keys = [f"{name}/{number}.png" for name in CLASSES for number in range(PHOTOS)]
    scored(containers.deployment, keys, seconds=300)
    for _ in range(ROUNDS):
        containers.train()
        if serving(containers.deployment).version:
            break
    minutes = (time.monotonic() - began) / 60
    print(f"\nfrom nothing: {started:.0f} s to a stack, {minutes:.1f} minutes to a promoted model")
    print(memory(containers))
    return containers


@pytest.fixture
def kill_engine(promoted: Containers) -> Callable[[], None]:
    """End the engine and all containers, and start the engine again."""
    ours = promoted.environment.get("DOCKER_HOST", "").endswith("octospoon-engine.sock")
    if not (ours and (ROOT / ".octospoon/engine/dockerd.pid").exists()):
        pytest.skip(
            f"only an engine of {ENGINE.relative_to(ROOT)} may be killed: this one is somebody else's"
        )

    def kill() -> None:
        subprocess.run([ENGINE, "kill"], check=True)
        subprocess.run([ENGINE, "start"], check=True)

    return kill


def memory(containers: Containers) -> str:
    """Return the memory of each container."""
    name = containers.environment["COMPOSE_PROJECT_NAME"]
    docker = containers.environment.get("DOCKER", "docker")
    listed = containers.run(docker, "ps", "--quiet", "--filter", f"label=com.docker.compose.project={name}")
    return containers.run(
        docker, "stats", "--no-stream", "--format", "{{.Name}}\t{{.MemUsage}}", *listed.split()
    )


def test_a_model_trained_in_the_worker_container_is_promoted(promoted: Containers) -> None:
    state = promoted.state()

    assert state.version >= 1
    assert state.labels == state.annotations >= BATCH
    assert state.images == state.objects == PHOTOS * len(CLASSES)
    assert state.runs >= 1
    assert "Label Studio" in promoted.octospoon("status")


def test_work_is_kept_over_down_and_up(promoted: Containers) -> None:
    jobs, labels = promoted.deployment.control.state().jobs, promoted.state().labels
    promoted.octospoon("classes", "add", NEW_CLASS)
    picks = promoted.choose()
    promoted.label(picks[:1], as_class=NEW_CLASS)
    promoted.counted(labels + 1)
    before, sign_in = promoted.state(), (promoted.root / COMPOSE_CREDENTIALS).read_text()
    deployment = promoted.deployment
    promoted.run("make", "dockercomposedown")
    with pytest.raises(OctospoonError):
        deployment.control.state()

    seconds = promoted.up()

    assert promoted.state() == before
    assert before.classes == (*CLASSES, NEW_CLASS)
    assert (promoted.root / COMPOSE_CREDENTIALS).read_text() == sign_in
    print(f"\nup again in {seconds:.0f} s with {before}")
    promoted.label(picks[1:])
    job_done(promoted.deployment, jobs + 1, seconds=SECONDS_FOR_A_JOB)
    assert promoted.state().labels == labels + BATCH


def test_work_is_kept_when_the_engine_is_killed(
    promoted: Containers, kill_engine: Callable[[], None]
) -> None:
    jobs, before = promoted.deployment.control.state().jobs, promoted.state()
    picks = promoted.choose()
    promoted.label(picks[: BATCH // 2])

    kill_engine()

    seconds = promoted.counted(before.labels + BATCH // 2)
    print(f"\nthe engine answers again; after {seconds:.0f} s, every label counts")
    promoted.label(picks[BATCH // 2 :])
    job_done(promoted.deployment, jobs + 1, seconds=SECONDS_FOR_A_JOB)
    after = promoted.state()
    assert after.labels == after.annotations == before.labels + BATCH
    assert (after.images, after.objects) == (before.images, before.objects)
    assert (after.classes, after.interface) == (before.classes, before.interface)
    assert (after.rounds, after.runs) == (before.rounds + 1, before.runs + 1)
    assert after.version >= before.version
    print(f"the killed engine lost nothing: {before} became {after}")


def test_a_training_job_starts_again_after_a_killed_engine(
    promoted: Containers, kill_engine: Callable[[], None]
) -> None:
    control, before = promoted.deployment.control, promoted.state()
    jobs = control.state().jobs
    promoted.label(promoted.choose())

    def runs() -> bool | None:
        state = control.state()
        return True if state.jobs > jobs and state.status is JobStatus.RUNNING else None

    wait_for("a training job to run", runs, seconds=SECONDS_FOR_A_JOB)

    kill_engine()

    began = time.monotonic()
    promoted.counted(before.labels + BATCH)
    job_done(promoted.deployment, jobs + 1, seconds=SECONDS_FOR_A_JOB)
    print(f"\nthe engine answers again; after {time.monotonic() - began:.0f} s, the job is done")
    after = promoted.state()
    assert control.state().jobs == jobs + 1
    assert after.labels == after.annotations == before.labels + BATCH
    assert after.version >= before.version
