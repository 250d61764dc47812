"""Keep the result of slow first starts (the migrations of Label Studio), and copy it for later starts."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

from octospoon.adapters.files import draft_of
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.stack.credentials import Credentials
    from octospoon.cli.stack.layout import Layout
    from octospoon.cli.stack.services import Service

MADE_WITH = "made-with"


def outdated(service: Service, layout: Layout, credentials: Credentials) -> bool:
    """Say whether a template for this server version and these credentials is missing."""
    template = layout.template(service.name)
    return not (template / MADE_WITH).exists() or of_another_version(service, layout, template, credentials)


def of_another_version(service: Service, layout: Layout, data: Path, credentials: Credentials) -> bool:
    """Say whether another version of the server wrote a data folder."""
    return (data / MADE_WITH).read_text() != _stamp(service, layout, credentials)


def mark(service: Service, layout: Layout, data: Path, credentials: Credentials) -> None:
    """Note that a data folder fits the installed version of its server."""
    with draft_of(data / MADE_WITH) as draft:
        draft.write_text(_stamp(service, layout, credentials))


def keep(draft: Path, service: Service, layout: Layout, credentials: Credentials) -> None:
    """Make the data folder of a server the template, after its first start."""
    mark(service, layout, draft, credentials)
    kept, old = layout.template(service.name), draft.with_name(f"{draft.name}-old")
    if kept.exists():
        kept.rename(old)
    try:
        draft.rename(kept)
    except OSError:  # another process made a template meanwhile
        shutil.rmtree(draft)
    shutil.rmtree(old, ignore_errors=True)


def unpack(service: Service, layout: Layout, data: Path, credentials: Credentials, temp: Path) -> None:
    """Fill a data folder from the template, unless it is already in use.

    Args:
        service: whose folder it is.
        layout: of the checkout.
        data: the folder.
        credentials: with which the data must have been made.
        temp: a folder on the same file system, for an incomplete copy.
    """
    if not data.exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        draft = temp / f"{service.name}.{os.getpid()}"
        shutil.copytree(layout.template(service.name), draft)
        draft.rename(data)
    elif _credentials_of(data) != credentials.digest():
        raise NotConfigured(
            f"{data} was made with other credentials than those in {layout.credentials}: "
            "restore the old file, or remove the folder to start with an empty folder"
        )


def _stamp(service: Service, layout: Layout, credentials: Credentials) -> str:
    version = hashlib.sha256(layout.requirements(service.requirements).read_bytes()).hexdigest()
    return f"{version}\n{credentials.digest()}\n"


def _credentials_of(data: Path) -> str:
    return (data / MADE_WITH).read_text().splitlines()[1]
