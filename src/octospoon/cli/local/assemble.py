"""Deploy octospoon onto the servers of a local stack, with a labelling project, a model and a trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.adapters.label_studio.controls import control_named
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.cli.deploy.deployer import deploy, kept_names, stack_outputs
from octospoon.cli.deploy.secrets import keep_secret
from octospoon.cli.deployment import Deployment, LocalProject
from octospoon.cli.deployment.session import session
from octospoon.cli.local.saved_settings import UpSettings
from octospoon.cli.local.trainer import start_trainer
from octospoon.cli.operations.classes import at_start, settle
from octospoon.cli.operations.first_model import begin_with
from octospoon.cli.operations.label_studio_access import connect
from octospoon.domain.task_types.named import check_unchanged
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.training.model.model_file import starter_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from octospoon.cli.stack.running import RunningStack

STACK_NAME = "octospoon"
TEMPLATE = Path("template.yaml")
BUILD_DIR = Path(".octospoon/build")
TITLE = "octospoon"
EXPERIMENT = "octospoon"
"""The template's default for the name of the experiment."""


@dataclass(frozen=True)
class LocalStack:
    """A running local stack with everything deployed.

    Attributes:
        servers: the running programs.
        project: the addresses and names that other commands need.
        label_studio: a connection to its Label Studio.
    """

    servers: RunningStack
    project: LocalProject
    label_studio: LabelStudioApi

    @cached_property
    def deployment(self) -> Deployment:
        """The deployed template."""
        return Deployment(self.project.outputs, self.project.endpoint_url)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of the services that octospoon uses, for the functions and the trainer.

    Attributes:
        aws_url: of LocalStack.
        label_studio_url: of Label Studio.
        mlflow_url: of MLflow.
        token: of Label Studio.
    """

    aws_url: str
    label_studio_url: str
    mlflow_url: str
    token: str = field(repr=False)

    def project(self, outputs: dict[str, str], project_id: int, settings: UpSettings) -> LocalProject:
        """Describe the deployed stack.

        Args:
            outputs: of the CloudFormation stack.
            project_id: of the Label Studio project.
            settings: with which it was deployed.
        """
        return LocalProject(
            endpoint_url=self.aws_url,
            outputs=outputs,
            label_studio_url=self.label_studio_url,
            label_studio_project=project_id,
            mlflow_url=self.mlflow_url,
            experiment=settings.parameters.get("ExperimentName", EXPERIMENT),
        )


@dataclass(frozen=True, slots=True)
class Artefacts:
    """The built functions.

    Attributes:
        folder: with one folder for each function.
        by_path: whether LocalStack reads them from that folder; otherwise they are uploaded as zip files.
    """

    folder: Path
    by_path: bool


BY_PATH = Artefacts(BUILD_DIR, by_path=True)
"""The functions that run on this machine."""


def assemble(
    servers: RunningStack,
    classes: Sequence[str],
    progress: Callable[[str], None],
    parameters: Mapping[str, str],
    first_model: Callable[[], bytes] = starter_model,
    outputs: dict[str, str] | None = None,
) -> LocalStack:
    """Deploy octospoon onto running servers; set up Label Studio, a first model and a trainer.

    Args:
        servers: the running programs.
        classes: class names.
        progress: receives a line of text for each step.
        parameters: of the template, except for those that the local stack sets.
        first_model: returns the model that a new stack begins with.
        outputs: of the template, if it is deployed already.
    """
    addresses = Addresses(
        servers.aws_url, servers.label_studio_url, servers.mlflow_url, servers.credentials.token
    )
    settings = UpSettings(tuple(classes), dict(parameters))
    api, project = install(addresses, settings, BY_PATH, first_model, progress, outputs)
    stack = LocalStack(servers, project, api)
    start_trainer(servers, project, stack.deployment.control, progress)
    return stack


def install(
    addresses: Addresses,
    settings: UpSettings,
    artefacts: Artefacts,
    first_model: Callable[[], bytes],
    progress: Callable[[str], None],
    outputs: dict[str, str] | None = None,
) -> tuple[LabelStudioApi, LocalProject]:
    """Deploy octospoon onto servers, whatever they run in; set up Label Studio and a first model.

    Args:
        addresses: of the servers.
        settings: class names, and parameters except for those that a local stack sets.
        artefacts: the built functions.
        first_model: returns the model that a new stack begins with.
        progress: receives a line of text for each step.
        outputs: of the template, if it is deployed already.

    Returns:
        A connection to Label Studio, and the addresses and names that other commands need.
    """
    known = Deployment(outputs, addresses.aws_url) if outputs else _deployed(addresses.aws_url)
    task_type = _task_type(settings, known)
    classes = at_start(known, settings.classes)
    progress(f"classes: {', '.join(classes.names)}")
    api = LabelStudioApi(addresses.label_studio_url, lambda: addresses.token)
    setup = LabelStudioSetup(api)
    progress("setting up the Label Studio project")
    project_id = setup.project(TITLE, classes.names, control_named(task_type), classes)
    if outputs is None:
        first = msgspec.structs.replace(settings, classes=classes.first)
        outputs = deploy_template(addresses, first, project_id, artefacts, progress)
    deployment = Deployment(outputs, addresses.aws_url)
    deployment.task_type_record.check()
    settle(deployment, classes, setup, project_id)
    progress("connecting Label Studio to the bucket and the webhook")
    connect(setup, project_id, deployment)
    progress("looking for a model in service")
    begin_with(deployment, first_model)
    return api, addresses.project(outputs, project_id, settings)


def deploy_template(
    addresses: Addresses,
    settings: UpSettings,
    project_id: int,
    artefacts: Artefacts,
    progress: Callable[[str], None],
    before: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Deploy the template onto servers, of which only LocalStack needs to answer; return its outputs.

    Args:
        addresses: of the servers.
        settings: class names, and parameters except for those that a local stack sets.
        project_id: of the Label Studio project.
        artefacts: the built functions.
        progress: receives a line of text for each step.
        before: the outputs of the deployment that left the data, perhaps one of an earlier release.
    """
    kept = kept_names(STACK_NAME, before or {})
    return deploy(
        template=TEMPLATE,
        build_dir=artefacts.folder,
        endpoint_url=addresses.aws_url,
        stack_name=STACK_NAME,
        parameters=kept | _parameters(addresses, settings.classes, project_id) | settings.parameters,
        progress=progress,
        by_path=artefacts.by_path,
    )


def _task_type(settings: UpSettings, known: Deployment | None) -> str:
    """Return the task type to deploy; raises NotConfigured if the stack has labels of another one."""
    wanted = settings.parameters.get("TaskType", TaskTypeName.CLASSIFICATION)
    if known:
        check_unchanged(known.task_type_record.read(), wanted)
    return wanted


def _deployed(aws_url: str) -> Deployment | None:
    """Return the stack as it was deployed before; None for a new one."""
    outputs = stack_outputs(aws_url, STACK_NAME)
    return Deployment(outputs, aws_url) if outputs else None


def _parameters(addresses: Addresses, classes: Sequence[str], project_id: int) -> dict[str, str]:
    """Return the parameters of the template that a local stack sets, and store the secret among them."""
    secrets = session(addresses.aws_url).client("secretsmanager", endpoint_url=addresses.aws_url)
    return {
        "Classes": ",".join(classes),
        "LabelStudioUrl": addresses.label_studio_url,
        "LabelStudioProject": str(project_id),
        "LabelStudioTokenSecretArn": keep_secret(secrets, STACK_NAME, "label-studio-token", addresses.token),
        "MlflowTrackingUri": addresses.mlflow_url,
        "Launcher": "queue",
    }
