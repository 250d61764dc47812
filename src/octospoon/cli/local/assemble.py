"""Deploy octospoon onto the servers of a local stack, with a labelling project, a model and a trainer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.adapters.label_studio.setup import LabelStudioSetup, S3Access
from octospoon.cli.deploy.deployer import check_classes, deploy
from octospoon.cli.deploy.urls import webhook_url
from octospoon.cli.deployment import LOCAL_KEY, LOCAL_REGION, Deployment, LocalProject, session
from octospoon.cli.operations.first_model import begin_with
from octospoon.cli.stack.layout import Layout
from octospoon.domain.errors import NotConfigured
from octospoon.training.model.model_file import starter_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from octospoon.cli.stack.running import RunningStack

STACK_NAME = "octospoon"
TEMPLATE = Path("template.yaml")
BUILD_DIR = Path(".octospoon/build")
TITLE = "octospoon"
TRAINER = "trainer"
EXPERIMENT = "octospoon"
"""The template's default for the name of the experiment."""
DAGSHUB = ("OCTOSPOON_DAGSHUB_REPOSITORY", "DAGSHUB_USER_TOKEN")
"""Environment variables that the local trainer inherits from the process that starts it."""


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

    @property
    def deployment(self) -> Deployment:
        """The deployed template."""
        return Deployment(self.project.outputs, self.project.endpoint_url)


def assemble(
    servers: RunningStack,
    classes: Sequence[str],
    progress: Callable[[str], None],
    parameters: Mapping[str, str],
    first_model: Callable[[], bytes] = starter_model,
) -> LocalStack:
    """Deploy octospoon onto running servers; set up Label Studio, a first model and a trainer.

    Args:
        servers: the running programs.
        classes: class names.
        progress: receives a line of text for each step.
        parameters: of the template, except for those that the local stack sets.
        first_model: returns the model that a new stack begins with.
    """
    check_classes(servers.aws_url, STACK_NAME, classes)
    api = LabelStudioApi(servers.label_studio_url, lambda: servers.credentials.token)
    setup = LabelStudioSetup(api)
    progress("setting up the Label Studio project")
    project_id = setup.project(TITLE, classes)
    outputs = deploy(
        template=TEMPLATE,
        build_dir=BUILD_DIR,
        endpoint_url=servers.aws_url,
        stack_name=STACK_NAME,
        parameters={**_parameters(servers, classes, project_id), **parameters},
        progress=progress,
        by_path=True,
    )
    project = _project(servers, outputs, project_id, parameters)
    stack = LocalStack(servers, project, api)
    progress("connecting Label Studio to the bucket and the webhook")
    connect(setup, project_id, stack.deployment)
    progress("looking for a model in service")
    begin_with(stack.deployment, first_model)
    progress("starting the trainer")
    start_trainer(stack)
    return stack


def _project(
    servers: RunningStack, outputs: dict[str, str], label_studio_project: int, parameters: Mapping[str, str]
) -> LocalProject:
    return LocalProject(
        endpoint_url=servers.aws_url,
        outputs=outputs,
        label_studio_url=servers.label_studio_url,
        label_studio_project=label_studio_project,
        mlflow_url=servers.mlflow_url,
        experiment=parameters.get("ExperimentName", EXPERIMENT),
    )


def _parameters(servers: RunningStack, classes: Sequence[str], project_id: int) -> dict[str, str]:
    """Return the parameters of the template that the local stack sets."""
    return {
        "Classes": ",".join(classes),
        "LabelStudioUrl": servers.label_studio_url,
        "LabelStudioProject": str(project_id),
        "LabelStudioToken": servers.credentials.token,
        "MlflowTrackingUri": servers.mlflow_url,
        "Launcher": "queue",
    }


def connect(setup: LabelStudioSetup, project: int, deployment: Deployment) -> None:
    """Let a Label Studio project read the images bucket and call the webhook.

    On AWS, Label Studio reads the bucket with its own role, or with AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY if they are set.
    """
    local = deployment.endpoint_url is not None
    access = S3Access(
        bucket=deployment.outputs["ImagesBucket"],
        endpoint_url=deployment.endpoint_url or "",
        region=session(deployment.endpoint_url).region_name or LOCAL_REGION,
        access_key=LOCAL_KEY if local else os.environ.get("AWS_ACCESS_KEY_ID", ""),
        secret_key=LOCAL_KEY if local else os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
        presign=not local,
    )
    setup.order(project)
    setup.storage(project, access)
    setup.webhook(
        project, webhook_url(deployment.outputs, deployment.endpoint_url), webhook_secret(deployment)
    )


def webhook_secret(deployment: Deployment) -> str:
    """Return the secret that Label Studio must send with every call of the webhook."""
    return deployment.secret(deployment.outputs["WebhookSecretArn"])


def start_trainer(stack: LocalStack) -> None:
    """Start the worker that runs the training jobs of the queue, in the environment of the trainer."""
    servers = stack.servers
    if any(process.name == TRAINER and process.alive() for process in servers.processes):
        return
    python = Layout(Path.cwd()).program(trainer_environment(stack.project.outputs["Trainer"]), "python")
    dagshub = {name: os.environ[name] for name in DAGSHUB if name in os.environ}
    environment = servers.aws_environment() | trainer_settings(stack.project) | dagshub
    servers.start_process(TRAINER, [str(python), "-m", "octospoon.training", "worker"], environment)


def trainer_environment(trainer: str) -> str:
    """Return the name of the environment that a trainer runs in.

    Raises:
        NotConfigured: the environment is not installed.
    """
    if trainer != "finetune":
        return "mlflow"
    if not Layout(Path.cwd()).program(trainer, "python").exists():
        raise NotConfigured("Trainer=finetune needs PyTorch: run `make finetune`, which installs it")
    return trainer


def trainer_settings(project: LocalProject) -> dict[str, str]:
    """Return the settings of the trainer, as environment variables."""
    outputs = project.outputs
    return {
        "MLFLOW_TRACKING_URI": project.mlflow_url,
        "OCTOSPOON_IMAGES_BUCKET": outputs["ImagesBucket"],
        "OCTOSPOON_ARTIFACTS_BUCKET": outputs["ArtifactsBucket"],
        "OCTOSPOON_POOL_TABLE": outputs["PoolTable"],
        "OCTOSPOON_ANNOTATIONS_TABLE": outputs["AnnotationsTable"],
        "OCTOSPOON_CONTROL_TABLE": outputs["ControlTable"],
        "OCTOSPOON_TRAINING_QUEUE_URL": outputs["TrainingQueueUrl"],
    }
