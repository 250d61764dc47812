"""The files that the containers read: passwords, settings, first model, functions."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.package import code_by_path
from octospoon.cli.deployment import PROJECT_FILE
from octospoon.cli.local import saved_settings
from octospoon.cli.local.addresses import COMPOSE_CREDENTIALS
from octospoon.cli.local.assemble import TEMPLATE
from octospoon.cli.local.first_model import FirstModel
from octospoon.cli.stack import attach
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.services import LOCALSTACK, SETTINGS
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FOLDER = Path(".octospoon/compose")
LABEL_STUDIO_ENV = FOLDER / "label-studio.env"
POSTGRES_ENV = FOLDER / "postgres.env"
FIRST_MODEL = FOLDER / "first-model.onnx"
BUILD_DIR = Path(".octospoon/build-compose")
POSTGRES_USER = "label-studio"
TOKEN = "LABEL_STUDIO_USER_TOKEN"  # noqa: S105 - the variable's name
CONTAINERS = {
    LOCALSTACK: {
        "LAMBDA_PROCESS_PYTHON": "/opt/functions/bin/python",
        "STATE_FOLDER": "/var/lib/localstack/octospoon",
    },
}
"""Settings of the servers that only containers have, beside those of every local stack."""


def prepare(
    classes: str | None, parameters: Sequence[str], backbone: str, tell: Callable[[str], None]
) -> None:
    """Check and remember the settings, and write the files that the containers read.

    Args:
        classes: class names, separated by commas; None for those of the last time.
        parameters: of the template, as NAME=VALUE.
        backbone: that a new stack begins with; empty for that of the last time, or the default.
        tell: receives a line of text for a download.

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
    FIRST_MODEL.write_bytes(FirstModel(settings.backbone, tell, settings.parameters)())
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


def link_functions() -> None:
    """Make the copies of the built functions that LocalStack runs.

    They must exist before the containers start: in these, the checkout is read-only.
    """
    for name in sam_template.functions(sam_template.read(TEMPLATE)):
        code_by_path(BUILD_DIR / name)
