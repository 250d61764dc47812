"""The commands that connect a Label Studio: `octospoon label-studio-project` and `label-studio-connect`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console

from octospoon.cli.deploy.class_names import class_names
from octospoon.domain.errors import NotConfigured
from octospoon.domain.secrets import header_secret

if TYPE_CHECKING:
    import argparse

    from octospoon.adapters.label_studio.api import LabelStudioApi
    from octospoon.cli.commands.grammar import Parser
    from octospoon.cli.commands.model_commands import Add, Commands, Deployed


def add(commands: Commands, plain: Add, deployed: Deployed) -> None:
    """Add the commands; `plain` adds one that needs no deployed stack."""
    command = plain(
        commands, "label-studio-project", _project, "create the Label Studio project; prints its id"
    )
    _label_studio_arguments(command)
    command.add_argument("--title", default="octospoon")
    command.add_argument("--classes", required=True, help="comma-separated class names")
    command.add_argument(
        "--replace-interface",
        action="store_true",
        help="replace a labelling interface that was changed by hand (default: it stays)",
    )
    command = deployed(commands, "label-studio-connect", _connect, "connect a project to a deployed stack")
    _label_studio_arguments(command)
    command.add_argument("--project", required=True, type=int, help="id of the project")


def _label_studio_arguments(command: Parser) -> None:
    command.add_argument(
        "--url", required=True, help="of Label Studio; its token is read from LABEL_STUDIO_TOKEN"
    )


def _project(arguments: argparse.Namespace) -> None:
    from octospoon.adapters.label_studio.setup import LabelStudioSetup

    setup = LabelStudioSetup(_label_studio(arguments))
    classes, replace = class_names(arguments.classes), arguments.replace_interface
    Console().print(setup.project(arguments.title, classes, replace_interface=replace))


def _connect(arguments: argparse.Namespace) -> None:
    from octospoon.adapters.label_studio.setup import LabelStudioSetup
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.local.assemble import connect

    deployment = find_deployment(arguments.stack)
    connect(LabelStudioSetup(_label_studio(arguments)), arguments.project, deployment)
    Console().print(f"project {arguments.project} reads the bucket and calls the webhook")


def _label_studio(arguments: argparse.Namespace) -> LabelStudioApi:
    from octospoon.adapters.label_studio.api import LabelStudioApi

    value = os.environ.get("LABEL_STUDIO_TOKEN")
    if not value:
        raise NotConfigured("set LABEL_STUDIO_TOKEN to a token of Label Studio (Account & Settings)")
    token = header_secret("LABEL_STUDIO_TOKEN", value)
    return LabelStudioApi(arguments.url, lambda: token)
