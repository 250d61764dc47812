"""Run a program of the stack and make sure that it ends: `python guard.py LIFELINE_FD GRACE PROGRAM ...`.

The guard runs in a session of its own and imports only the standard library. It ends the program, and
everything that the program started, in three cases: after SIGTERM, when the program ends, or when the
lifeline closes. The lifeline is the read end of a pipe; the process that started the stack has the write end.
-1 means no lifeline, for a detached stack.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STRAYS_GRACE = 1.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ON_LINUX = sys.platform == "linux"


class Guard:
    """The guard of a program."""

    def __init__(self, lifeline: int, grace: float) -> None:
        self._lifeline = lifeline
        self._grace = grace
        self._asked = False
        self._wake, wake_from_handler = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_from_handler, False)
        signal.set_wakeup_fd(wake_from_handler, warn_on_full_buffer=False)

    def run(self, command: list[str]) -> int:
        """Run the program until it or the guard ends; return its exit code, or 0 if it was asked to end."""
        _prctl(PR_SET_CHILD_SUBREAPER, 1)  # a grandchild that loses its parent becomes our child
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        child = subprocess.Popen(command, preexec_fn=_die_with_the_guard)
        code = self._wait(child.pid)
        self._end_group(child.pid)
        return 0 if code is None else code

    def _ask(self, *_: object) -> None:
        self._asked = True

    def _wait(self, pid: int) -> int | None:
        """Return the exit code of the program; None after a signal or the end of the lifeline."""
        watched = [self._wake] if self._lifeline < 0 else [self._wake, self._lifeline]
        while not self._asked:
            if (code := _reap().get(pid)) is not None:
                return code
            ready, _, _ = select.select(watched, [], [])
            if self._lifeline in ready:
                return None
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 512)
        return None

    def _end_group(self, program: int) -> None:
        """Ask all processes of the group to end, wait, and kill those that are left."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
        started = time.monotonic()
        _wait_while(lambda: _runs(program), started + self._grace)
        _wait_while(_has_children, min(started + self._grace, time.monotonic() + STRAYS_GRACE))
        while _has_children():
            _kill_children()
            time.sleep(0.02)


def _wait_while(condition: Callable[[], bool], deadline: float) -> None:
    while condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """Say whether a child process still runs."""
    _reap()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _reap() -> dict[int, int]:
    """Collect the children that have ended; return exit codes by process id."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


def _has_children() -> bool:
    _reap()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _kill_children() -> None:
    """Kill the child processes. Their children become ours, and the next call kills them."""
    if not ON_LINUX:
        os.killpg(0, signal.SIGKILL)  # kills this process too: nothing else reaches grandchildren there
    for pid in _children_of(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _children_of(parent: int) -> list[int]:
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == parent:
                children.append(int(stat.parent.name))
    return children


def _prctl(option: int, value: int) -> None:
    if ON_LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_the_guard() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(Guard(int(sys.argv[1]), float(sys.argv[2])).run(sys.argv[3:]))
