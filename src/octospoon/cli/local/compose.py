"""Set octospoon up in the containers of docker-compose.localstack.yml.

The Makefile calls `prepare`, which writes the files that the containers read; `functions`, once these are
built; and `addresses` at the end. In a container runs `setup`, which deploys onto the servers and ends. See
`octospoon.cli.local.redeploy` for what happens after a restart.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from octospoon.cli.deploy.deployer import check_order
from octospoon.cli.deployment import Deployment, local_project, remember
from octospoon.cli.exit_status import run
from octospoon.cli.local import compose_files, saved_settings
from octospoon.cli.local.addresses import COMPOSE_CREDENTIALS, lines
from octospoon.cli.local.assemble import Addresses, Artefacts, deploy_template, install
from octospoon.cli.local.compose_files import BUILD_DIR, FIRST_MODEL, TOKEN
from octospoon.cli.local.redeploy import SESSION, deployed_session, session_of
from octospoon.cli.local.resume import repair
from octospoon.cli.local.trainer import restart_lost_job, trainer_settings
from octospoon.cli.operations.first_model import begin_with_backbone
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.layout import Layout
from octospoon.domain.errors import NotConfigured
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.cli.deployment import LocalProject
    from octospoon.cli.local.saved_settings import UpSettings

PROJECT = "project.json"
"""The file beside the trainer's settings that describes what was deployed: it lives as long as the data."""

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@dataclass(frozen=True, slots=True)
class Published:
    """The addresses of the servers, as people on the host reach them."""

    localstack: str
    label_studio: str
    mlflow: str


@dataclass(frozen=True, slots=True)
class SetUp:
    """Deploys octospoon onto the servers.

    Attributes:
        servers: their addresses inside the network of the containers.
        published: their addresses on the host.
        trainer_env: file for the environment variables of the trainer.
        project_file: file for the addresses that `octospoon` on the host needs.
    """

    servers: Addresses
    published: Published
    trainer_env: Path
    project_file: Path

    def __call__(self, backbone: str = "") -> None:
        """Deploy, connect the servers, and write the settings of trainer and commands.

        Args:
            backbone: if it is named, the model in service must have it.

        Raises:
            NotConfigured: `prepare` has not run, or the settings do not fit the stack.
            Conflict: the model in service has another backbone than the named one.
        """
        if not (self.servers.token and FIRST_MODEL.exists()):
            raise NotConfigured("the stack has no passwords or first model: run `make dockercomposeup`")
        settings = saved_settings.recall(Layout(Path.cwd()))
        with self._alone():
            project = self._deploy(settings, backbone)
        variables = trainer_settings(project)
        text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
        self.trainer_env.write_text(text)
        outside = msgspec.structs.replace(
            project,
            endpoint_url=self.published.localstack,
            label_studio_url=self.published.label_studio,
            mlflow_url=self.published.mlflow,
            inside_endpoint_url=project.endpoint_url,
        )
        _write_for_owner(self.project_file, msgspec.json.format(msgspec.json.encode(outside)))
        _print(f"Label Studio is at {self.published.label_studio}, MLflow at {self.published.mlflow}")

    def _deploy(self, settings: UpSettings, backbone: str) -> LocalProject:
        """Deploy, after a restart onto the existing data; return the deployment."""
        folder = self.trainer_env.parent
        session, before = session_of(self.servers.aws_url), local_project(folder / PROJECT)
        artefacts, outputs = Artefacts(BUILD_DIR, by_path=True), None
        if before is not None:
            check_order(listed(before.outputs.get("Classes", "")), settings.classes)
            if session != deployed_session(folder):
                # first of all, because the classes may have changed since: their record is in a table
                outputs = deploy_template(
                    self.servers,
                    settings,
                    before.label_studio_project,
                    artefacts,
                    _print,
                    before=before.outputs,
                )
        _, project = install(self.servers, settings, artefacts, FIRST_MODEL.read_bytes, _print, outputs)
        deployment = Deployment(project.outputs, project.endpoint_url)
        if backbone:
            begin_with_backbone(deployment, FIRST_MODEL.read_bytes())
        if outputs is not None:
            if job := restart_lost_job(deployment.control, time.time()):
                _print(f"training job {job} was interrupted and starts again")
            repair(deployment, _print, full=True)
        remember(project, folder / PROJECT)
        (folder / SESSION).write_text(session)
        return project

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other container deploys."""
        with self.trainer_env.with_name("lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


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
    compose_files.prepare(classes, parameters or (), backbone, _print)


@app.command("functions")
def functions_command() -> None:
    """Make the copies of the built functions that LocalStack runs."""
    compose_files.link_functions()


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
    SetUp(servers, Published(*published), trainer_env, project)(backbone)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return run(app, arguments, "python -m octospoon.cli.local.compose")


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
