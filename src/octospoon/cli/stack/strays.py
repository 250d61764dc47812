"""Finds programs that no record names: of an `octospoon up` that was killed while it started them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.stack.process import MARK, Supervised, identity

if TYPE_CHECKING:
    from collections.abc import Collection


def strays(root: Path, mark: str, known: Collection[Supervised]) -> list[Supervised]:
    """Return the process groups of this checkout that carry a stack's mark and are not known.

    Args:
        root: the checkout; programs of another one carry the same mark.
        mark: the name of the stack.
        known: what its record names.
    """
    groups = {os.getpgid(pid) for pid in _marked(mark) if _inside(pid, root)}
    unknown = groups - {process.pid for process in known} - {os.getpgid(0)}
    return [Supervised("stray", group, identity(group) or "", mark, "") for group in sorted(unknown)]


def _marked(mark: str) -> list[int]:
    wanted, found = f"{MARK}={mark}".encode(), []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


def _inside(pid: int, root: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(root)
    except OSError:
        return False
