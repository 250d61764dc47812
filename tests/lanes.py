"""Two lanes to one LocalStack, both through pytest-localstack: on this machine, and in a container.

Everything that a test does goes through the session's clients, so that it runs the same on either.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import ContainerCollection
from pytest_localstack.session import LocalstackSession, RunningSession

from octospoon.cli.deployment import Deployment
from octospoon.cli.deployment.session import LOCAL_REGION, session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.config import Config
    from docker.models.containers import Container

    from octospoon.cli.local.assemble import LocalStack

ROOT = Path(__file__).parents[1]
SOCKET = "/var/run/docker.sock"
SERVICES = (
    *("apigateway", "cloudformation", "cloudwatch", "dynamodb", "events", "iam", "lambda", "logs"),
    *("s3", "secretsmanager", "sqs", "sts"),
)
"""What the template needs, and pytest-localstack waits for."""
TAKE_A_LANE = ("lane", "stores")
"""The fixtures that have it as their parameter."""
LANES = [pytest.param("host", marks=pytest.mark.stack), pytest.param("docker", marks=pytest.mark.docker)]


class Lane(Deployment):
    """The deployed template, its clients being those of a pytest-localstack session."""

    def __init__(self, outputs: Mapping[str, str], endpoint_url: str | None, session: RunningSession) -> None:
        super().__init__(outputs, endpoint_url)
        self.session = session

    def client(self, service: Any, config: Config | None = None) -> Any:
        return self.session.boto3.default_session.client(service, config=config)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--localstack",
        choices=("auto", "host", "docker"),
        default="auto",
        help="where integration and contract tests find AWS; auto for each lane that this machine has",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--localstack")
    if wanted == "docker" and (reason := no_engine()):
        raise pytest.UsageError(f"--localstack=docker: {reason}")
    for item in items:
        if reason := absent(lane_of(item), wanted):
            item.add_marker(pytest.mark.skip(reason))


def lane_of(item: pytest.Item) -> str:
    """Return the lane that a test takes; empty for the many that take none."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return next((params[name] for name in TAKE_A_LANE if params.get(name) in ("host", "docker")), "")


def absent(lane: str, wanted: str) -> str:
    """Return why a lane is not taken; empty where it is."""
    if lane and wanted not in ("auto", lane):
        return f"--localstack={wanted}"
    return no_engine() if lane == "docker" else ""


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> Lane:
    """The deployed template, on each lane that this machine has."""
    return on(request, request.param)


def on(request: pytest.FixtureRequest, name: str) -> Lane:
    """Return one lane."""
    found: Lane = request.getfixturevalue({"host": "on_host", "docker": "in_docker"}[name])
    return found


@pytest.fixture(scope="session")
def on_host(stack: LocalStack) -> Iterator[Lane]:
    """The shared stack."""
    address = urlsplit(stack.project.endpoint_url)
    running = RunningSession(
        address.hostname,
        services=dict.fromkeys(SERVICES, address.port),
        region_name=LOCAL_REGION,
        localstack_version=version(),
    )
    with running:
        yield Lane(stack.project.outputs, stack.project.endpoint_url, running)


@pytest.fixture(scope="session")
def in_docker(request: pytest.FixtureRequest) -> Iterator[Lane]:
    """A LocalStack of its own in a container, the template deployed for AWS's Python; no Label Studio."""
    from octospoon.cli.operations.first_model import init_model

    with contextlib.closing(Engine.from_env()) as engine:
        _has_image(engine, required=request.config.getoption("--localstack") == "docker")
        started = LocalstackSession(
            engine,
            services=list(SERVICES),
            region_name=LOCAL_REGION,
            localstack_version=version(),
            pull_image=False,
            container_env={
                "DISABLE_EVENTS": "1",
                "LAMBDA_SYNCHRONOUS_CREATE": "1",
                "SQS_ENDPOINT_STRATEGY": "path",
            },
        )
        with started:
            endpoint = started.endpoint_url("s3")
            lane = Lane(_deployed(endpoint), endpoint, started)
            init_model(lane)
            yield lane


def _has_image(engine: docker.DockerClient, *, required: bool) -> None:
    """Pull LocalStack's image unless it is there; without it there is no lane, unless one was asked for."""
    image = f"{LocalstackSession.image_name}:{version()}"
    if engine.images.list(name=image):
        return
    try:
        engine.images.pull(*image.split(":"))
    except APIError as error:
        if required:
            raise
        pytest.skip(f"the Docker engine has no {image} and cannot get it: {error.explanation or error}")


def _deployed(endpoint: str) -> dict[str, str]:
    # here, because scikit-learn's import takes longer than most unit tests
    from octospoon.cli.datasets import digits
    from octospoon.cli.deploy.deployer import deploy
    from octospoon.cli.deploy.secrets import keep_secret
    from octospoon.cli.local.assemble import STACK_NAME

    subprocess.run(["make", "-f", "infra/build/Makefile", "aws"], cwd=ROOT, check=True)
    secrets = session(endpoint).client("secretsmanager", endpoint_url=endpoint)
    return deploy(
        template=ROOT / "template.yaml",
        build_dir=ROOT / ".octospoon/build-aws",
        endpoint_url=endpoint,
        stack_name=STACK_NAME,
        parameters={
            "Classes": ",".join(digits.CLASSES),
            "LabelStudioUrl": "http://label-studio.invalid",
            "LabelStudioProject": "1",
            "LabelStudioTokenSecretArn": keep_secret(secrets, STACK_NAME, "label-studio-token", "none"),
        },
        progress=print,
    )


class _Containers(ContainerCollection):
    """LocalStack starts functions as containers, for which pytest-localstack gives it no socket."""

    def run(self, *arguments: Any, **options: Any) -> Container:
        return super().run(*arguments, **options, volumes=[f"{SOCKET}:{SOCKET}"])


class Engine(docker.DockerClient):
    @property
    def containers(self) -> _Containers:
        return _Containers(client=self)


@functools.cache
def no_engine() -> str:
    """Return why there is no lane in Docker; empty where there is one."""
    # in a process of its own: the client leaves its socket open where nobody answers
    asked = [sys.executable, "-W", "ignore", "-c", "import docker; docker.from_env(timeout=10).ping()"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    return (
        f"no Docker engine answers: {said.stderr.strip().rpartition(chr(10))[2]}" if said.returncode else ""
    )


@functools.cache
def version() -> str:
    """Return the LocalStack that is pinned: the same in both lanes."""
    pinned = (ROOT / "infra/requirements/localstack.txt").read_text()
    return pinned.split("localstack-core==")[1].split()[0]
