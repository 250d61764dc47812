"""Set octospoon up in the containers of docker-compose.localstack.yml.

``python -m octospoon.cli.local.compose prepare`` writes the files that the containers read: passwords, the
settings of the servers, the first model.
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

from octospoon.cli.deployment import PROJECT_FILE, Deployment, local_project
from octospoon.cli.exit_status import run
from octospoon.cli.local import saved_settings
from octospoon.cli.local.addresses import COMPOSE_CREDENTIALS, lines
from octospoon.cli.local.assemble import Addresses, Artefacts, install, trainer_settings
from octospoon.cli.local.first_model import FirstModel
from octospoon.cli.operations.first_model import begin_with_backbone
from octospoon.cli.stack import attach
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.services import LOCALSTACK, SETTINGS
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(".octospoon/compose")
LABEL_STUDIO_ENV = FOLDER / "label-studio.env"
POSTGRES_ENV = FOLDER / "postgres.env"
FIRST_MODEL = FOLDER / "first-model.onnx"
BUILD_DIR = Path(".octospoon/build-compose")
POSTGRES_USER = "label-studio"
TOKEN = "LABEL_STUDIO_USER_TOKEN"  # noqa: S105 - the variable's name
LOCALSTACK_DATA = "/var/lib/localstack"
CONTAINERS = {
    LOCALSTACK: {
        "LAMBDA_PROCESS_PYTHON": "/opt/functions/bin/python",
        "S3_COPIES": f"{LOCALSTACK_DATA}/objects",
    },
}
"""Settings of the servers that only containers have, beside those of every local stack."""

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@dataclass(frozen=True, slots=True)
class Published:
    """The addresses of the servers, as people on the host reach them."""

    localstack: str
    label_studio: str
    mlflow: str


def prepare(classes: str | None, parameters: Sequence[str], backbone: str) -> None:
    """Check and remember the settings, and write the files that the containers read.

    Args:
        classes: class names, separated by commas; None for those of the last time.
        parameters: of the template, as NAME=VALUE.
        backbone: that a new stack begins with; empty for that of the last time, or the default.

    Raises:
        BadRequest: a setting is not allowed.
        NotConfigured: the stack of `octospoon up` runs in this checkout.
        ServiceUnavailable: the backbone with this name cannot be downloaded.
    """
    layout = Layout(Path.cwd().resolve())
    if attach(layout.root) is not None:
        raise NotConfigured("the stack of `make up` runs in this checkout: stop it first, with `make down`")
    changes = saved_settings.changes(classes, parameters, backbone)
    settings = saved_settings.merged(changes, saved_settings.recall(layout))
    _check_trainer(settings.parameters.get("Trainer", "head"))
    # otherwise Docker creates the folder, and only root can write to it
    PROJECT_FILE.parent.mkdir(parents=True, exist_ok=True)
    write_secrets()
    for name, variables in SETTINGS.items():
        _write(FOLDER / f"{name}-settings.env", variables | CONTAINERS.get(name, {}))
    FIRST_MODEL.write_bytes(FirstModel(settings.backbone, _print)())
    saved_settings.remember(layout, settings)


def _check_trainer(trainer: str) -> None:
    if trainer == "finetune" and os.environ.get("TRAINING_REQUIREMENTS") != "finetune":
        raise BadRequest(
            "Trainer=finetune needs PyTorch in the training image: set TRAINING_REQUIREMENTS=finetune, for "
            "example `make dockercomposeup TRAINING_REQUIREMENTS=finetune`"
        )


def write_secrets() -> None:
    """Write the environment files with the passwords of the servers, unless they exist."""
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
    for path, variables in ((LABEL_STUDIO_ENV, sign_in), (POSTGRES_ENV, database)):
        if not path.exists():
            _write(path, variables)


def _write(path: Path, variables: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


def set_up(
    servers: Addresses, published: Published, backbone: str, trainer_env: Path, project_file: Path
) -> None:
    """Deploy octospoon onto the servers, connect them, and write the settings of trainer and commands.

    Args:
        servers: their addresses inside the network of the containers.
        published: their addresses on the host.
        backbone: if it is named, the model in service must have it.
        trainer_env: file for the environment variables of the trainer.
        project_file: file for the addresses that `octospoon` on the host needs.

    Raises:
        NotConfigured: `prepare` has not run, or the settings do not fit the stack.
        Conflict: the model in service has another backbone than the named one.
    """
    if not (servers.token and FIRST_MODEL.exists()):
        raise NotConfigured("the stack has no passwords or first model: run `make dockercomposeup`")
    settings = saved_settings.recall(Layout(Path.cwd()))
    artefacts = Artefacts(BUILD_DIR, by_path=False)
    _, inside = install(servers, settings, artefacts, FIRST_MODEL.read_bytes, _print)
    if backbone:
        begin_with_backbone(Deployment(inside.outputs, inside.endpoint_url), FIRST_MODEL.read_bytes())
    variables = trainer_settings(inside)
    trainer_env.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))
    outside = msgspec.structs.replace(
        inside,
        endpoint_url=published.localstack,
        label_studio_url=published.label_studio,
        mlflow_url=published.mlflow,
    )
    _write_for_owner(project_file, msgspec.json.format(msgspec.json.encode(outside)))
    _print(f"octospoon is ready: Label Studio is at {published.label_studio}, MLflow at {published.mlflow}")


def _write_for_owner(path: Path, content: bytes) -> None:
    """Write a file that belongs to the owner of its folder: root of the container writes for a user."""
    path.write_bytes(content)
    owner = path.parent.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


def addresses() -> str:
    """Return the addresses of the servers and the sign-in, as text.

    Raises:
        NotConfigured: no set-up has run.
    """
    project = local_project()
    if project is None:
        raise NotConfigured("nothing is deployed in containers: run `make dockercomposeup`")
    return "\n".join(lines(project, credentials(COMPOSE_CREDENTIALS), stop="make dockercomposedown"))


@app.command("prepare")
def prepare_command(
    classes: Annotated[str | None, typer.Option(help="Class names, separated by commas.")] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the template.")
    ] = None,
    backbone: Annotated[str, typer.Option(help="That a new stack begins with.")] = "",
) -> None:
    """Write the files that the containers read."""
    prepare(classes, parameters or (), backbone)


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
    trainer_env: Annotated[Path, typer.Option(help="Written for the trainer.")],
    project: Annotated[Path, typer.Option(help="Written for `octospoon` on the host.")],
    backbone: Annotated[str, typer.Option(help="That the model in service must have.")] = "",
) -> None:
    """Deploy onto the running servers."""
    servers = Addresses(endpoint_url, label_studio_url, mlflow_url, os.environ.get(TOKEN, ""))
    set_up(servers, Published(*published), backbone, trainer_env, project)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return run(app, arguments, "python -m octospoon.cli.local.compose")


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
