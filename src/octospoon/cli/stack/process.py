"""Start processes under a guard, recognise them later, and end them with everything that they started."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.runtime import guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

GRACE = 5.0  # LocalStack may hang forever if it is asked to end while it loads a service
MARK = "OCTOSPOON_STACK"
ZOMBIE = "Z"


@dataclass(frozen=True)
class Supervised:
    """A running program of the stack; `pid` is its guard's, which leads the process group.

    Attributes:
        started: distinguishes this process from a later one with the same id; see `identity`.
        mark: the name of the stack, in the environment of everything that the process started.
    """

    name: str
    pid: int
    started: str
    mark: str
    log: str

    def alive(self) -> bool:
        """Say whether this process still runs."""
        return identity(self.pid) == self.started


@functools.cache
def lifeline() -> int:
    """Return the read end of a pipe that closes when this process ends, for any reason."""
    read, _write = os.pipe()
    return read


def spawn(
    name: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    log: Path,
    cwd: Path,
    mark: str,
    lifeline: int | None,
) -> Supervised:
    """Start a program under a guard, its output going to `log`; without a lifeline it outlives us."""
    tied_to = "-1" if lifeline is None else str(lifeline)
    command = [sys.executable, "-I", "-S", guard.__file__, tied_to, str(GRACE)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, *argv],
            env={**env, MARK: mark},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[] if lifeline is None else [lifeline],
            start_new_session=True,
        )
    _OURS[process.pid] = process
    return Supervised(name, process.pid, identity(process.pid) or "", mark, str(log))


_OURS: dict[int, subprocess.Popen[bytes]] = {}  # kept to read their exit codes


def exit_code(pid: int) -> int | None:
    """Return the exit code of a process that this process started; None while it runs, and for others."""
    process = _OURS.get(pid)
    return process.poll() if process else None


def identity(pid: int) -> str | None:
    """Return the start of a process as text that is unique for its id; None if the process has ended."""
    exit_code(pid)
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return _identity_from_ps(pid)
    try:
        fields = stat.read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == ZOMBIE else f"{_boot()}.{fields[19]}"


def _boot() -> str:
    """Return the name of this boot, because start times are relative to it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]


def _identity_from_ps(pid: int) -> str | None:
    question = ["ps", "-o", "lstart=", "-p", str(pid)]
    shown = subprocess.run(question, capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None


def end(processes: Iterable[Supervised]) -> None:
    """End processes and everything that they started; kill those that do not end in time."""
    doomed = list(processes)
    for process in doomed:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE + 2
    while any(process.alive() for process in doomed) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in doomed:
        _kill_group(process)


def _signal(process: Supervised, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.alive():
            os.kill(process.pid, number)


def _kill_group(process: Supervised) -> None:
    """Kill the remaining processes: the group if its guard hangs, orphans if the guard was killed."""
    with contextlib.suppress(ProcessLookupError):
        if process.alive():
            os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + GRACE  # a process that waits for a disk ends late
    while time.monotonic() < deadline and (left := list(_marked_members(process))):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def members(group: int) -> Iterator[int]:
    """Yield the ids of a process group."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text(errors="replace").rpartition(")")[2].split()[2]) == group:
                yield int(stat.parent.name)


def _marked_members(process: Supervised) -> Iterator[int]:
    """Yield the members of the group with the mark of the stack: another group may have the id by now."""
    marked = f"{MARK}={process.mark}".encode()
    for pid in members(process.pid):
        with contextlib.suppress(OSError):
            if marked in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                yield pid
