"""Upgrade MLflow's database in its volume: `python -m octospoon.cli.local.upgrade_mlflow DATABASE`.

The service `mlflow-upgrade` of the compose file runs it before MLflow's server, which refuses a database of
an older version. It runs in the training image, which has the server's version of MLflow.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.files import draft_of
from octospoon.cli.stack.upgrades import copy_name, replace_by_upgraded

if TYPE_CHECKING:
    from collections.abc import Callable


def bring_up_to_date(
    database: Path, version: str, upgrade: Callable[[Path], None], progress: Callable[[str], None]
) -> None:
    """Copy and upgrade a database that was last used by another version of MLflow.

    An interruption harms nothing, and the next run does it again.

    Args:
        database: of the server, which does not run. A missing one is left to the server.
        version: of MLflow. It is kept in the file `version` beside the database.
        upgrade: upgrades the database in a file.
        progress: receives a line of text if there is something to do.
    """
    mark = database.with_name("version")
    if mark.is_file() and mark.read_text() == version:
        return
    if database.is_file():
        kept = copy_name(database)
        progress(f"MLflow {version}: copying its database to {kept}, then upgrading it")
        owner = database.stat()

        def upgrade_for_its_owner(draft: Path) -> None:
            upgrade(draft)
            os.chown(draft, owner.st_uid, owner.st_gid)

        replace_by_upgraded(database, kept, database.with_name("upgrade"), upgrade_for_its_owner)
    with draft_of(mark) as draft:
        draft.write_text(version)


def _upgrade(database: Path) -> None:
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{database}"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    bring_up_to_date(Path(sys.argv[1]), importlib.metadata.version("mlflow"), _upgrade, print)
