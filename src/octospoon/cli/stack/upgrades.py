"""Bring the database of a server to the version that is installed.

A new version of octospoon may bring a new version of a server. The database is copied before the server uses
it. An upgrade changes another copy, which replaces the database in the end: an interruption harms nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING

from octospoon.adapters.files import draft_of
from octospoon.cli.stack import templates
from octospoon.cli.stack.services import DATABASES, Place, environment
from octospoon.cli.stack.snapshot import copy_database
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from octospoon.cli.stack.layout import Layout
    from octospoon.cli.stack.running import RunningStack
    from octospoon.cli.stack.services import Service

BEFORE = "before-upgrade"
"""The folder, in that of the data, with a copy of the database for each upgrade."""


def prepare(service: Service, stack: RunningStack, layout: Layout, data: Path) -> None:
    """Fill an empty data folder before the first start, as far as the server does not do it itself."""
    if service.prepare:
        service.prepare(layout, data)
    _run(service, stack, layout, data)


def bring_up_to_date(
    service: Service, stack: RunningStack, layout: Layout, data: Path, progress: Callable[[str], None]
) -> None:
    """Copy a database of another version of its server, and upgrade it if the server does not do that itself.

    Args:
        service: the server, which does not run.
        stack: that it belongs to.
        layout: of the checkout.
        data: the folder of its data.
        progress: receives a line of text if there is something to do.

    Raises:
        ServiceUnavailable: the upgrade failed; the data are as they were.
    """
    if not templates.of_another_version(service, layout, data, stack.credentials):
        return
    database = data / DATABASES[service.name]
    if database.is_file():
        kept = copy_name(database)
        progress(
            f"{service.name}: another version is installed; copying its database to {_short(layout, kept)}"
        )
        if service.upgrade:
            _upgrade(service, stack, layout, database, kept)
        else:
            _keep(database, kept)
    templates.mark(service, layout, data, stack.credentials)


def _upgrade(service: Service, stack: RunningStack, layout: Layout, database: Path, kept: Path) -> None:
    folder = stack.temp_dir / f"{service.name}-upgrade.{os.getpid()}"
    try:
        replace_by_upgraded(database, kept, folder, lambda draft: _run(service, stack, layout, draft.parent))
    except ServiceUnavailable as error:
        raise ServiceUnavailable(
            f"{_short(layout, database)} cannot be used with the installed version of {service.name}, and "
            f"was not changed: {error}"
        ) from error


def copy_name(database: Path) -> Path:
    """Return where a database is copied to before it is upgraded now."""
    return database.parent / BEFORE / f"{time.strftime('%Y-%m-%dT%H-%M-%SZ', time.gmtime())}-{database.name}"


def replace_by_upgraded(database: Path, kept: Path, folder: Path, upgrade: Callable[[Path], None]) -> None:
    """Upgrade a copy of a database, which then replaces it; nothing is changed if the upgrade fails.

    Args:
        database: its server does not run.
        kept: a new file, which gets the database as it is now.
        folder: for the copy, in the same file system; it is removed.
        upgrade: upgrades the database in a file of the folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        draft = folder / database.name
        copy_database(database, draft)
        upgrade(draft)
        _keep(database, kept)
        with draft_of(database) as replacement:
            draft.replace(replacement)
    finally:
        shutil.rmtree(folder)


def _keep(database: Path, kept: Path) -> None:
    """Copy a database, whose server does not run, as it is now."""
    kept.parent.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # everything is in one file now
    with draft_of(kept) as draft:
        copy_database(database, draft)


def _short(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _run(service: Service, stack: RunningStack, layout: Layout, data: Path) -> None:
    """Run the command that makes or upgrades a database, if the server has one."""
    if service.upgrade:
        place = Place(layout, 0, data, stack.temp_dir, stack.credentials)
        stack.run_to_end(
            f"{service.name}-upgrade", service.upgrade(place), environment(service, place), cwd=data
        )
