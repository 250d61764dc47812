"""Set octospoon up in the containers of docker-compose.localstack.yml.

``python -m octospoon.cli.local.compose secrets`` writes the passwords of Label Studio and PostgreSQL.
``python -m octospoon.cli.local.compose setup`` deploys onto the running servers, and ends.
``python -m octospoon.cli.local.compose addresses`` prints where everything is.
"""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.cli.deploy.class_names import class_names
from octospoon.cli.deploy.deployer import check_classes, deploy
from octospoon.cli.deployment import PROJECT_FILE, Deployment, LocalProject, local_project
from octospoon.cli.exit_status import run
from octospoon.cli.local.addresses import COMPOSE_CREDENTIALS, lines
from octospoon.cli.local.assemble import STACK_NAME, TEMPLATE, TITLE, connect, trainer_settings
from octospoon.cli.operations.first_model import init_model
from octospoon.cli.stack.credentials import credentials
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

LABEL_STUDIO_ENV = Path(".octospoon/compose/label-studio.env")
POSTGRES_ENV = Path(".octospoon/compose/postgres.env")
POSTGRES_USER = "label-studio"
TOKEN = "LABEL_STUDIO_USER_TOKEN"  # noqa: S105 - the variable's name

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses of the servers.

    Attributes:
        endpoint_url: of LocalStack, as the containers reach it.
        label_studio_url: of Label Studio, as the containers reach it.
        mlflow_url: of MLflow, as the containers reach it.
        published: LocalStack, Label Studio and MLflow, as people on the host reach them.
    """

    endpoint_url: str
    label_studio_url: str
    mlflow_url: str
    published: tuple[str, str, str]


def write_secrets() -> None:
    """Write the environment files with the passwords of the servers, unless they exist."""
    # otherwise Docker creates the folder, and only root can write to it
    PROJECT_FILE.parent.mkdir(parents=True, exist_ok=True)
    label_studio, password = credentials(COMPOSE_CREDENTIALS), secrets.token_urlsafe(24)
    sign_in = {
        "LABEL_STUDIO_USERNAME": label_studio.email,
        "LABEL_STUDIO_PASSWORD": label_studio.password,
        TOKEN: label_studio.token,
    }
    # PostgreSQL and Label Studio read the same password from variables of different names
    database = {
        "POSTGRES_USER": POSTGRES_USER,
        "POSTGRES_PASSWORD": password,
        "POSTGRE_PASSWORD": password,
    }
    _write_once(LABEL_STUDIO_ENV, sign_in)
    _write_once(POSTGRES_ENV, database)


def _write_once(path: Path, variables: dict[str, str]) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


def set_up(network: Network, classes: Sequence[str], build_dir: Path, settings: Path, project: Path) -> None:
    """Deploy octospoon onto the servers, connect them, and write the settings of trainer and commands.

    Args:
        network: the addresses of the servers.
        classes: class names.
        build_dir: the functions, built for AWS's Python.
        settings: file for the environment variables of the trainer.
        project: file for the addresses that `octospoon` on the host needs.

    Raises:
        NotConfigured: Label Studio's token is not set.
    """
    token = os.environ.get(TOKEN)
    if not token:
        raise NotConfigured(f"{TOKEN} is not set: run `make dockercomposeup`, which creates it")
    check_classes(network.endpoint_url, STACK_NAME, classes)
    label_studio = LabelStudioSetup(LabelStudioApi(network.label_studio_url, lambda: token))
    project_id = label_studio.project(TITLE, classes)
    outputs = deploy(
        template=TEMPLATE,
        build_dir=build_dir,
        endpoint_url=network.endpoint_url,
        stack_name=STACK_NAME,
        parameters={
            "Classes": ",".join(classes),
            "LabelStudioUrl": network.label_studio_url,
            "LabelStudioProject": str(project_id),
            "LabelStudioToken": token,
            "MlflowTrackingUri": network.mlflow_url,
        },
        progress=_print,
    )
    deployment = Deployment(outputs, network.endpoint_url)
    connect(label_studio, project_id, deployment)
    init_model(deployment)
    _write_addresses(network, outputs, project_id, settings, project)


def _write_addresses(
    network: Network, outputs: dict[str, str], project_id: int, settings: Path, project: Path
) -> None:
    """Write where the stack is: for the trainer inside the network, and for the commands outside."""
    inside = LocalProject(
        network.endpoint_url, outputs, network.label_studio_url, project_id, network.mlflow_url
    )
    variables = trainer_settings(inside)
    settings.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))
    localstack, label_studio, mlflow = network.published
    outside = LocalProject(localstack, outputs, label_studio, project_id, mlflow)
    project.write_bytes(msgspec.json.format(msgspec.json.encode(outside)))
    _print(f"octospoon is ready: Label Studio {label_studio}, MLflow {mlflow}, LocalStack {localstack}")


def addresses() -> str:
    """Return the addresses of the servers and the sign-in, as text.

    Raises:
        NotConfigured: no set-up has run.
    """
    project = local_project()
    if project is None:
        raise NotConfigured("nothing is deployed in containers: run `make dockercomposeup`")
    return "\n".join(lines(project, credentials(COMPOSE_CREDENTIALS), stop="make dockercomposedown"))


@app.command("secrets")
def secrets_command() -> None:
    """Write the passwords, once."""
    write_secrets()


@app.command("addresses")
def addresses_command() -> None:
    """Say where everything is."""
    _print(addresses())


@app.command("setup")
def setup_command(
    endpoint_url: Annotated[str, typer.Option(help="LocalStack, as the containers reach it.")],
    label_studio_url: Annotated[str, typer.Option(help="Label Studio, as the containers reach it.")],
    mlflow_url: Annotated[str, typer.Option(help="MLflow, as the containers reach it.")],
    published: Annotated[
        tuple[str, str, str],
        typer.Option(
            metavar="LOCALSTACK LABEL_STUDIO MLFLOW", help="The same three, as people on the host reach them."
        ),
    ],
    classes: Annotated[str, typer.Option(help="Class names, separated by commas.")],
    build_dir: Annotated[Path, typer.Option(help="Folder of the artefacts for AWS's Python.")],
    settings: Annotated[Path, typer.Option(help="Written for the trainer.")],
    project: Annotated[Path, typer.Option(help="Written for `octospoon` on the host.")],
) -> None:
    """Deploy onto the running servers."""
    network = Network(endpoint_url, label_studio_url, mlflow_url, published)
    set_up(network, class_names(classes), build_dir, settings, project)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return run(app, arguments, "python -m octospoon.cli.local.compose")


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
