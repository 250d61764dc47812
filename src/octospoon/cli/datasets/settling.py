"""Tell finished files from files that another program is still writing."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SETTLING = 2.0
"""Seconds for which a file must stay as it is before it counts as finished."""


class Stamp(NamedTuple):
    """Properties of a file that change when it is written.

    Attributes:
        size: in bytes.
        modified: nanoseconds since the epoch.
        inode: of the file, which changes when another file takes its name.
    """

    size: int
    modified: int
    inode: int


def stamp(file: Path) -> Stamp | None:
    """Return the stamp of a file, or None if it is gone."""
    try:
        status = file.stat()
    except OSError:
        return None
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass
class Settling:
    """The files of a folder: those that may still be written, and those that are done.

    Attributes:
        waiting: stamps of files that are not done, and when the stamp was first seen.
        done: stamps of files when they were done.
    """

    waiting: dict[Path, tuple[Stamp, float]] = field(default_factory=dict)
    done: dict[Path, Stamp] = field(default_factory=dict)

    def see(self, files: Iterable[Path], now: float) -> None:
        """Note which files there are. A file that is gone is forgotten.

        Args:
            files: all files of the folder.
            now: seconds of any clock that does not jump.
        """
        before, self.waiting = self.waiting, {}
        done, self.done = self.done, {}
        for file in files:
            seen = stamp(file)
            if seen is None:
                continue
            if done.get(file) == seen:
                self.done[file] = seen
            else:
                last = before.get(file)
                self.waiting[file] = last if last and last[0] == seen else (seen, now)

    def ready(self, now: float) -> list[Path]:
        """Return the files that have stayed as they are for `SETTLING` seconds."""
        return [file for file, (_, since) in self.waiting.items() if now - since >= SETTLING]

    def finish(self, file: Path, seen: Stamp) -> None:
        """Note that a file is done in this state, whatever became of it."""
        self.waiting.pop(file, None)
        self.done[file] = seen


def being_written(file: Path) -> bool:
    """Return True if some program has the file open for writing; False also where that cannot be found out.

    Linux grants a lease for reading only on files that nobody has open for writing. Other systems, some file
    systems and files of other owners have no such leases.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False
