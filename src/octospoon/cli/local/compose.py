"""octospoon in docker-compose.localstack.yml: its secrets, made on the host, and its set-up in the network.

``python -m octospoon.cli.local.compose secrets`` writes what Label Studio and PostgreSQL start with;
``python -m octospoon.cli.local.compose setup`` deploys once the servers are healthy, and ends;
``python -m octospoon.cli.local.compose addresses`` says where everything is.
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
from octospoon.cli.local.assemble import STACK_NAME, TITLE, connect, trainer_settings
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
    """Where the servers are.

    Attributes:
        endpoint_url: of LocalStack, as the containers reach it.
        label_studio_url: of Label Studio, as the containers reach it.
        mlflow_url: of MLflow, as the containers reach it.
        published: the same three, as people on the host reach them.
    """

    endpoint_url: str
    label_studio_url: str
    mlflow_url: str
    published: tuple[str, str, str]


def write_secrets() -> None:
    """Write the environment files that the servers take their passwords from, those that are not there."""
    PROJECT_FILE.parent.mkdir(parents=True, exist_ok=True)  # or Docker makes it, for root alone
    made, password = credentials(COMPOSE_CREDENTIALS), secrets.token_urlsafe(24)
    sign_in = {
        "LABEL_STUDIO_USERNAME": made.email,
        "LABEL_STUDIO_PASSWORD": made.password,
        TOKEN: made.token,
    }
    # the server's name of its password, and Label Studio's
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
    """Deploy octospoon onto the servers, connect them, and leave settings for the trainer and the commands.

    Args:
        network: where the servers are.
        classes: class names.
        build_dir: the artefacts for AWS's Python.
        settings: the file that the trainer reads its environment from.
        project: the file that `octospoon` on the host finds the stack by.

    Raises:
        NotConfigured: Label Studio's token is not set.
    """
    token = os.environ.get(TOKEN)
    if not token:
        raise NotConfigured(f"{TOKEN} is not set: run `make dockercomposeup`, which makes it")
    check_classes(network.endpoint_url, STACK_NAME, classes)
    label_studio = LabelStudioSetup(LabelStudioApi(network.label_studio_url, lambda: token))
    number = label_studio.project(TITLE, classes)
    outputs = deploy(
        template=Path("template.yaml"),
        build_dir=build_dir,
        endpoint_url=network.endpoint_url,
        stack_name=STACK_NAME,
        parameters={
            "Classes": ",".join(classes),
            "LabelStudioUrl": network.label_studio_url,
            "LabelStudioProject": str(number),
            "LabelStudioToken": token,
            "MlflowTrackingUri": network.mlflow_url,
        },
        progress=_tell,
    )
    deployment = Deployment(outputs, network.endpoint_url)
    connect(label_studio, number, deployment)
    init_model(deployment)
    inside = LocalProject(network.endpoint_url, outputs, network.label_studio_url, number, network.mlflow_url)
    variables = trainer_settings(inside)
    settings.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))
    localstack, pages, mlflow = network.published
    outside = LocalProject(localstack, outputs, pages, number, mlflow)
    project.write_bytes(msgspec.json.format(msgspec.json.encode(outside)))
    _tell(f"octospoon is ready: Label Studio {pages}, MLflow {mlflow}, LocalStack {localstack}")


def addresses() -> str:
    """Return where people find what runs, and how they sign in.

    Raises:
        NotConfigured: the set-up has not left anything.
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
    _tell(addresses())


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


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
