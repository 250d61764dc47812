"""The addresses of a local stack, and how to sign in."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from octospoon.cli.deployment import local_project
from octospoon.cli.local.saved_settings import recall
from octospoon.cli.operations import page_address
from octospoon.cli.operations.addresses import local_addresses
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import HOST
from octospoon.cli.stack.record import Record

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment, LocalProject
    from octospoon.cli.stack import Credentials

_SOMEWHERE = ("192.0.2.1", 9)
"""An address that is reserved for documentation."""
COMPOSE_CREDENTIALS = Path(".octospoon/state/compose-credentials.json")


def lines(project: LocalProject, sign_in: Credentials, *, stop: str) -> list[str]:
    """Return one line per address.

    Args:
        project: the local stack.
        sign_in: to its Label Studio.
        stop: the command that stops the stack.
    """
    where = local_addresses(project)
    shared = shared_address(where.label_studio)
    page = page_address.read(page_address.folder_of(project.endpoint_url, project.outputs["PoolTable"]))
    addresses = {
        "Label Studio": where.label_studio,
        **(
            {"  for others": f"{shared}  WITHOUT ENCRYPTION: only in a network that you trust"}
            if shared
            else {}
        ),
        "  sign in as": f"{sign_in.email}  {sign_in.password}",
        "MLflow": where.mlflow,
        **({"page": page} if page else {}),
        "images bucket": f"{where.images_bucket} at {where.endpoint_url}",
        "next": f"octospoon drop DIR · octospoon rank · octospoon status · {stop}",
    }
    return [f"{name:15}{value}" for name, value in addresses.items()]


def shared_address(address: str) -> str:
    """Return a page of the local Label Studio as other machines reach it; empty if they cannot."""
    layout = Layout(Path.cwd())
    parts = urlsplit(address)
    if recall(layout).host == HOST or parts.hostname != HOST:
        return ""
    return parts._replace(netloc=f"{_network_address()}:{parts.port}").geturl()


def _network_address() -> str:
    """Return the address of this machine in its network, or its name if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)  # sends nothing
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def of_deployment(deployment: Deployment) -> list[str]:
    """Return the addresses of the running local stack; nothing for a stack on AWS."""
    project = local_project()
    if project is None or project.endpoint_url != deployment.endpoint_url:
        return []
    layout = Layout(Path.cwd())
    record = Record.read(layout.detached)
    if record is not None and project.endpoint_url in record.urls.values():
        return lines(project, credentials(layout.credentials), stop="octospoon down")
    if COMPOSE_CREDENTIALS.exists():
        return lines(project, credentials(COMPOSE_CREDENTIALS), stop="make dockercomposedown")
    return []
