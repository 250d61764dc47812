"""Two lanes to one LocalStack, both through pytest-localstack: on this machine, and in a container.

Everything that a test does goes through the session's clients, so that it runs the same on either.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from dataclasses import dataclass
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
STAND_IN = "octospoon.stand-in"
"""The label of an image that infra/stand-ins/build made in the place of one from a registry."""
SERVICES = (
    *("apigateway", "cloudformation", "cloudwatch", "dynamodb", "events", "iam", "lambda", "logs"),
    *("s3", "secretsmanager", "sqs", "sts"),
)
"""What the template needs, and pytest-localstack waits for."""
SECONDS_TO_START = 300.0
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
    choice = config.getoption("--localstack")
    if choice == "docker" and (reason := no_engine()):
        raise pytest.UsageError(f"--localstack=docker: {reason}")
    for item in items:
        if reason := absent(lane_of(item), choice):
            item.add_marker(pytest.mark.skip(reason))


def lane_of(item: pytest.Item) -> str:
    """Return the lane that a test uses; empty if it uses none."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return next((params[name] for name in TAKE_A_LANE if params.get(name) in ("host", "docker")), "")


def absent(lane: str, choice: str) -> str:
    """Return why a lane is skipped; empty if it runs."""
    if lane and choice not in ("auto", lane):
        return f"--localstack={choice}"
    return no_engine() if lane == "docker" else ""


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> Lane:
    """The deployed template, on each lane that this machine has."""
    return on(request, request.param)


def on(request: pytest.FixtureRequest, name: str) -> Lane:
    """Return one lane."""
    lane: Lane = request.getfixturevalue({"host": "on_host", "docker": "in_docker"}[name])
    return lane


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


@dataclass(frozen=True)
class Image:
    """An image of LocalStack.

    Attributes:
        name: without the tag.
        tag: its tag.
        environment: variables of the container.
        target: arguments of make, which builds the functions for it.
        build_dir: where make leaves them.
        sees_engine: whether LocalStack starts functions as containers.
    """

    name: str
    tag: str
    environment: Mapping[str, str]
    target: tuple[str, ...]
    build_dir: str
    sees_engine: bool


def official() -> Image:
    """Return LocalStack's own image, with its DynamoDB; it runs functions in AWS's images."""
    variables = {"DISABLE_EVENTS": "1", "LAMBDA_SYNCHRONOUS_CREATE": "1", "SQS_ENDPOINT_STRATEGY": "path"}
    target = ("-f", "infra/build/Makefile", "aws")
    return Image(
        "localstack/localstack", version(), variables, target, ".octospoon/build-aws", sees_engine=True
    )


def plugged() -> Image:
    """Return the image with our plug-in from infra/stand-ins/build, for machines without a registry."""
    from octospoon.cli.local.compose_files import CONTAINERS
    from octospoon.cli.stack.services import LOCALSTACK, SETTINGS

    variables = SETTINGS[LOCALSTACK] | {
        "GATEWAY_LISTEN": "0.0.0.0:4566",
        "LAMBDA_PROCESS_PYTHON": CONTAINERS[LOCALSTACK]["LAMBDA_PROCESS_PYTHON"],
    }
    target = ("functions-in-image",)
    return Image(
        "octospoon-localstack", "latest", variables, target, ".octospoon/build-compose", sees_engine=False
    )


@pytest.fixture(scope="session")
def in_docker(request: pytest.FixtureRequest) -> Iterator[Lane]:
    """A LocalStack of its own in a container, the template deployed for its Python; no Label Studio."""
    from octospoon.cli.operations.first_model import init_model

    with contextlib.closing(Engine.from_env()) as engine:
        image = _image(engine, required=request.config.getoption("--localstack") == "docker")
        engine.visible = image.sees_engine
        started = LocalstackSession(
            engine,
            services=list(SERVICES),
            region_name=LOCAL_REGION,
            localstack_version=image.tag,
            pull_image=False,
            container_env=image.environment,
        )
        started.image_name = image.name
        started.start(timeout=SECONDS_TO_START)
        try:
            endpoint = started.endpoint_url("s3")
            lane = Lane(_deployed(endpoint, image), endpoint, started)
            init_model(lane)
            yield lane
        finally:
            started.stop()


def _image(engine: docker.DockerClient, *, required: bool) -> Image:
    """Return the image, pulled if necessary. Without it the lane is skipped, or fails if it was requested."""
    image = official()
    name = f"{image.name}:{image.tag}"
    for existing in engine.images.list(name=name):
        return plugged() if STAND_IN in existing.labels else image
    try:
        engine.images.pull(image.name, image.tag)
    except APIError as error:
        if required:
            raise
        pytest.skip(f"the Docker engine has no {name} and cannot get it: {error.explanation or error}")
    return image


def _deployed(endpoint: str, image: Image) -> dict[str, str]:
    # here, because scikit-learn's import takes longer than most unit tests
    from octospoon.cli.datasets import digits
    from octospoon.cli.deploy.deployer import deploy
    from octospoon.cli.deploy.secrets import keep_secret
    from octospoon.cli.local.assemble import STACK_NAME

    subprocess.run(["make", *image.target], cwd=ROOT, check=True)
    secrets = session(endpoint).client("secretsmanager", endpoint_url=endpoint)
    return deploy(
        template=ROOT / "template.yaml",
        build_dir=ROOT / image.build_dir,
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
        client: Engine = self.client
        volumes = [f"{client.socket}:{SOCKET}"] if client.visible else []
        return super().run(*arguments, **options, volumes=volumes)


class Engine(docker.DockerClient):
    """The engine that the environment names.

    Attributes:
        visible: whether its containers get its socket.
    """

    visible = False

    @property
    def socket(self) -> str:
        """Return the path of its socket on this machine."""
        return os.environ.get("DOCKER_HOST", SOCKET).removeprefix("unix://")

    @property
    def containers(self) -> _Containers:
        return _Containers(client=self)


@functools.cache
def no_engine() -> str:
    """Return why the lane in Docker cannot run; empty if it can."""
    # in a separate process: the client does not close its socket if nothing answers
    command = [sys.executable, "-W", "ignore", "-c", "import docker; docker.from_env(timeout=10).ping()"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"no Docker engine answers: {ran.stderr.strip().rpartition(chr(10))[2]}" if ran.returncode else ""


@functools.cache
def version() -> str:
    """Return the pinned version of LocalStack, the same in both lanes."""
    pinned = (ROOT / "infra/requirements/localstack.txt").read_text()
    return pinned.split("localstack-core==")[1].split()[0]
