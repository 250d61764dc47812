"""Find programs that no record names, because `octospoon up` was killed while it started them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.stack.process import MARK, Supervised, identity

if TYPE_CHECKING:
    from collections.abc import Collection


def strays(root: Path, mark: str, known: Collection[Supervised]) -> list[Supervised]:
    """Return the process groups of this checkout that have the mark of a stack and are not known.

    Args:
        root: the checkout; programs of another checkout have the same mark.
        mark: the name of the stack.
        known: the processes in the record of the stack.
    """
    groups = {os.getpgid(pid) for pid in _marked(mark) if _inside(pid, root)}
    unknown = groups - {process.pid for process in known} - {os.getpgid(0)}
    return [Supervised("stray", group, identity(group) or "", mark, "") for group in sorted(unknown)]


def _marked(mark: str) -> list[int]:
    variable, pids = f"{MARK}={mark}".encode(), []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable in environ.read_bytes().split(b"\0"):
                pids.append(int(environ.parent.name))
    return pids


def _inside(pid: int, root: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(root)
    except OSError:
        return False
