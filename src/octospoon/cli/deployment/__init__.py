"""The deployment that the commands use: the local stack of this checkout, or a stack on AWS."""

from __future__ import annotations

import os
import threading
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.aws.stacks import find_stack, outputs_of
from octospoon.adapters.files import draft_of
from octospoon.adapters.label_studio.api import LabelStudio
from octospoon.adapters.label_studio.controls import control_of
from octospoon.adapters.mlflow.alias import MlflowRuns
from octospoon.cli.deployment.outputs import OutputNames, Outputs
from octospoon.cli.deployment.session import CHOICE, localstack, session
from octospoon.domain.errors import NotConfigured
from octospoon.domain.pool.source import source_of
from octospoon.domain.secrets import checked_secret, header_secret
from octospoon.runtime.settings import listed
from octospoon.runtime.wiring.label_studio import label_studio_api
from octospoon.runtime.wiring.mlflow import mlflow_api
from octospoon.runtime.wiring.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import boto3
    from botocore.config import Config

    from octospoon.adapters.dynamodb.control.classes import DynamoClassRecord
    from octospoon.adapters.label_studio.api import LabelStudioApi
    from octospoon.adapters.mlflow.rest import MlflowApi

PROJECT_FILE = Path(".octospoon/run/project.json")


class LocalProject(msgspec.Struct, frozen=True):
    """The local stack, as `octospoon up` describes it for the other commands.

    Attributes:
        endpoint_url: of LocalStack.
        outputs: of the CloudFormation stack.
        label_studio_url: of Label Studio.
        label_studio_project: id of the project.
        mlflow_url: of the tracking server.
        experiment: name of the experiment in the tracking server.
        inside_endpoint_url: of LocalStack, as containers reach it; empty if that is `endpoint_url`.
    """

    endpoint_url: str
    outputs: dict[str, str]
    label_studio_url: str
    label_studio_project: int
    mlflow_url: str
    experiment: str = "octospoon"
    inside_endpoint_url: str = ""


class Deployment(Storage):
    """A deployed stack: its storage, its services and its settings.

    Args:
        outputs: of the CloudFormation stack.
        endpoint_url: of LocalStack; None for AWS.
    """

    def __init__(self, outputs: Mapping[str, str], endpoint_url: str | None) -> None:
        self.outputs = outputs
        self.endpoint_url, self._lock = endpoint_url, threading.Lock()
        self._clients: dict[str, Any] = {}
        s3, dynamodb = lambda: self.client("s3"), lambda: self.client("dynamodb")
        source = source_of(outputs.get("ImagesSource", ""), outputs.get("ImagesPrefixes", ""))
        super().__init__(OutputNames(outputs), s3, dynamodb, time.time, source)

    def client(self, service: Any, config: Config | None = None) -> Any:  # noqa: ANN401 - a type per service
        """Return a boto3 client for a service. Calls without a configuration share one for each service."""
        with self._lock:  # threads may share clients, and not a session
            if config is not None:
                return self._session.client(service, endpoint_url=self.endpoint_url, config=config)
            if service not in self._clients:  # a client takes milliseconds of the processor to make
                self._clients[service] = self._session.client(service, endpoint_url=self.endpoint_url)
            return self._clients[service]

    @cached_property
    def _session(self) -> boto3.Session:
        # each new session reads botocore's large files again
        return session(self.endpoint_url)

    @cached_property
    def settings(self) -> dict[str, str]:
        """The environment variables of `reconcile`, the function that uses every service."""
        return self.settings_of("Reconcile")

    def settings_of(self, function: str) -> dict[str, str]:
        """Return the environment variables of a function, such as ``Rank``."""
        with translated(f"reading the settings of {function.lower()}"):
            name = self.outputs[f"{function}FunctionName"]
            configuration = self.client("lambda").get_function_configuration(FunctionName=name)
        return dict(configuration["Environment"]["Variables"])

    def secret(self, name: str) -> str:
        """Return a secret by its ARN; raises NotConfigured if an HTTP header cannot contain it."""
        return header_secret(name, self._stored_secret(name))

    def password(self, name: str) -> str:
        """Return a password by its ARN; it may contain any printable character."""
        return checked_secret(name, self._stored_secret(name))

    def _stored_secret(self, name: str) -> str:
        with translated("reading a secret"):
            answer = self.client("secretsmanager").get_secret_value(SecretId=name)
        return str(answer.get("SecretString") or answer.get("SecretBinary", b"").decode(errors="replace"))

    def label_studio(self) -> LabelStudioApi:
        """Return a new connection to Label Studio, with the token of the functions."""
        token = self.settings["OCTOSPOON_LABEL_STUDIO_TOKEN_SECRET"]
        return label_studio_api(self.label_studio_url, token, self.secret)

    def labeler(self, api: LabelStudioApi) -> LabelStudio:
        """Return the labelling project, over a connection to Label Studio."""
        return LabelStudio(api, self.label_studio_project, control_of(self.task_type))

    @property
    def label_studio_url(self) -> str:
        """The address of Label Studio, as this machine reaches it."""
        local = self._local_project
        return (local.label_studio_url if local else self.settings["OCTOSPOON_LABEL_STUDIO_URL"]).rstrip("/")

    @property
    def mlflow_url(self) -> str:
        """The address of MLflow, as this machine reaches it; empty if it is not configured."""
        project = self._local_project
        return project.mlflow_url if project else self.settings["OCTOSPOON_MLFLOW_URL"]

    @cached_property
    def _local_project(self) -> LocalProject | None:
        """The local stack, whose containers know the servers by other addresses than this machine does."""
        project = local_project() if self.endpoint_url else None
        return project if project and project.endpoint_url == self.endpoint_url else None

    @property
    def label_studio_project(self) -> int:
        """The id of the Label Studio project.

        Raises:
            NotConfigured: the function's setting is not a number.
        """
        project = self.settings["OCTOSPOON_LABEL_STUDIO_PROJECT"]
        if not project.isdecimal():
            raise NotConfigured(
                f"the reconcile function's OCTOSPOON_LABEL_STUDIO_PROJECT is {project!r}, not the id of a "
                "project: set the parameter LabelStudioProject, and deploy again"
            )
        return int(project)

    def task_address(self, task_id: int) -> str:
        """Return the address of a task, for people."""
        return f"{self.label_studio_url}/projects/{self.label_studio_project}/data?task={task_id}"

    @property
    def mlflow(self) -> MlflowApi | None:
        """The tracking server; None if it is not configured."""
        user, secret = (self.settings[f"OCTOSPOON_MLFLOW_{name}"] for name in ("USERNAME", "PASSWORD_SECRET"))
        return mlflow_api(self.mlflow_url, user, secret, self.password)

    @property
    def runs(self) -> MlflowRuns | None:
        """The addresses of the runs in the tracking server; None if it is not configured."""
        api = self.mlflow
        return MlflowRuns(api, self.settings["OCTOSPOON_MODEL_NAME"]) if api else None

    def class_record(self, first: Sequence[str] = ()) -> DynamoClassRecord:
        """Return the classes and their changes; before the first change, the classes of the template."""
        return super().class_record(first or listed(self.outputs["Classes"]))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names now."""
        return self.class_record().read().names


def local_project(path: Path | None = None) -> LocalProject | None:
    """Return the local stack that `path` or else `PROJECT_FILE` describes; None if there is no such file.

    Raises:
        NotConfigured: the description cannot be read.
    """
    path = path or PROJECT_FILE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=LocalProject)
    except msgspec.MsgspecError as error:
        raise NotConfigured(
            f"{path} cannot be read ({error}): `octospoon up` writes it again, and nothing is lost"
        ) from error


def remember(project: LocalProject, path: Path | None = None) -> None:
    """Write the description by which the other commands find the local stack, as one atomic change."""
    path = path or PROJECT_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path) as draft:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(project)))


def find_deployment(stack_name: str | None) -> Deployment:
    """Return the deployment that a command uses.

    Args:
        stack_name: of a CloudFormation stack; None for the stack that OCTOSPOON_STACK names, or else the
            local stack.

    Raises:
        NotConfigured: there is no such stack, or it is not a stack of octospoon.
    """
    name = stack_name or os.environ.get("OCTOSPOON_STACK")
    if name:
        CHOICE.stack = name
        endpoint_url = localstack()
        return Deployment(_outputs(name, endpoint_url), endpoint_url)
    return find_local()


def find_local() -> Deployment:
    """Return the local stack.

    Raises:
        NotConfigured: no local stack runs.
    """
    project = local_project()
    if project is None:
        raise NotConfigured(
            "no local stack runs here: start it with `make up`, or name a stack on AWS with --stack"
        )
    return Deployment(Outputs(project.outputs), project.endpoint_url)


def _outputs(name: str, endpoint_url: str | None) -> Outputs:
    client = session(endpoint_url).client("cloudformation", endpoint_url=endpoint_url)
    with translated(f"looking for the stack {name}"):
        stack = find_stack(client, name)
    if stack is None:
        raise NotConfigured(
            f"there is no stack {name} in {client.meta.region_name}: check the name (--stack or "
            "OCTOSPOON_STACK), the region (--region or AWS_REGION) and the account (--profile or AWS_PROFILE)"
        )
    outputs = Outputs(outputs_of(stack))
    if "ImagesBucket" not in outputs:
        raise NotConfigured(
            f"the stack {name} ({stack['StackStatus']}) is not a stack of octospoon, or it is incomplete"
        )
    return outputs
