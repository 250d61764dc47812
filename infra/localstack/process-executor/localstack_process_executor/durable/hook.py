"""Open the store and let LocalStack keep its state, if STATE_FOLDER is set."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from localstack.runtime import hooks

from localstack_process_executor.durable.store import Store, Syncing

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = "STATE_FOLDER"
DATABASE = "state.sqlite3"


@functools.cache
def opened() -> Store | None:
    """Return the store of this LocalStack, opened once; None if nothing is kept."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    store = Store(Path(folder) / DATABASE)
    Syncing(store).start()
    return store


@hooks.on_infra_start(should_load=lambda: bool(os.environ.get(FOLDER)))
def keep_state() -> None:
    """Let LocalStack keep its state, before its first request."""
    from localstack_process_executor.durable import messages, names, tables

    if store := opened():
        install: tuple[Callable[[Store], None], ...] = (names.install, tables.install, messages.install)
        for install_part in install:
            install_part(store)
