"""The record of the running stack, and the removal of what stopped stacks left behind."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from octospoon.adapters.files import draft_of
from octospoon.cli.stack.process import Supervised, identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from octospoon.cli.stack.layout import Layout

DETACHED = "up"
LOGS_KEPT = 5
_OWNED = re.compile(r".*-(?P<pid>\d+)-(?P<started>[^-]+)-\d+")
_number = itertools.count(1)


@dataclass(frozen=True)
class Record:
    """The detached stack, as its file describes it."""

    name: str
    urls: Mapping[str, str]
    processes: list[Supervised]

    def write(self, path: Path) -> None:
        """Replace the file."""
        with draft_of(path) as draft:
            draft.write_text(json.dumps(asdict(self), indent=2))

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """Return the record in a file; None if the file is missing or cannot be read."""
        try:
            content = json.loads(path.read_text())
            processes = [Supervised(**process) for process in content["processes"]]
            return cls(content["name"], content["urls"], processes)
        except (OSError, ValueError, KeyError, TypeError):
            return None


def run_name(prefix: str) -> str:
    """Return a new name for a stack of this process; the name shows whether its owner still runs."""
    return f"{prefix}-{os.getpid()}-{identity(os.getpid())}-{next(_number)}"


def remove_stale(layout: Layout) -> None:
    """Remove the folders of stacks that ended without cleaning up; keep their newest logs."""
    for folder in _abandoned(layout.run):
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):  # another process removes it at the same time
        logs = sorted(_abandoned(layout.logs), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in logs[LOGS_KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)


def _abandoned(parent: Path) -> Iterator[Path]:
    for folder in parent.iterdir() if parent.exists() else ():
        owner = _OWNED.fullmatch(folder.name)
        if owner and identity(int(owner["pid"])) != owner["started"]:
            yield folder


@contextlib.contextmanager
def only_one(layout: Layout, what: str = "stack", busy: Callable[[], object] | None = None) -> Iterator[None]:
    """Lock the detached stack, so that no other process starts or ends it meanwhile.

    Args:
        layout: of the checkout.
        what: the name of the lock: `stack` for the servers, `command` for whole commands.
        busy: called once if another process holds the lock.
    """
    layout.run.mkdir(parents=True, exist_ok=True)
    with (layout.run / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if busy:
                busy()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
