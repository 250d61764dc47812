"""Run a program with limits on its time, its files and its output, and end all that it started."""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.errors import TrainerFailed
from octospoon.runtime import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

GRACE = 3.0
"""Seconds for the program to end by itself after SIGTERM."""
MOST_BYTES = 20 * 2**30
"""The most that the files of a program may take."""
LEAST_FREE = 2**29
"""The space on the disk that a program must leave."""
_TAIL_LINES, _TAIL_LENGTH = 30, 700
_LOGGED_LINES, _LINE_LENGTH = 5_000, 500
_CHUNK = 65_536
_TICK = 1.0
_ENDING = GRACE + 4.0
_SIGNALS = {
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGKILL,
    signal.SIGSEGV,
    signal.SIGTERM,
}
"""Signals that are named. Other numbers are more often exit codes, such as 255."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a program.

    Attributes:
        seconds: of its time.
        folders: where it writes files.
        most_bytes: of these files together.
    """

    seconds: float
    folders: tuple[Path, ...]
    most_bytes: int = MOST_BYTES


class Output:
    """The output of a program, as bounded lines: the first ones go to the log, the last ones are kept."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open, self._lines = "", 0
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def read(self, pipe: int) -> None:
        """Read a pipe until its end."""
        while data := os.read(pipe, _CHUNK):
            self.add(data)
        self.add(b"\n")

    def add(self, data: bytes) -> None:
        """Take the next bytes. A carriage return, with which progress bars begin again, ends a line too."""
        *whole, rest = re.split(r"[\r\n]", self._decoder.decode(data))
        for part in whole:
            self._line((self._open + part[:_LINE_LENGTH])[:_LINE_LENGTH])
            self._open = ""
        self._open = (self._open + rest[:_LINE_LENGTH])[:_LINE_LENGTH]

    def _line(self, text: str) -> None:
        line = _CONTROL.sub("", text).rstrip()
        if not line:
            return
        self._tail.append(line)
        self._lines += 1
        if self._lines <= _LOGGED_LINES:
            _log.info("trainer: %s", line)
        if self._lines == _LOGGED_LINES:
            _log.info("the rest of the trainer's output is not logged")

    def last_lines(self) -> str:
        """Return the last lines, separated by bars, in at most _TAIL_LENGTH characters."""
        if not (lines := list(self._tail)):
            return "it has printed nothing"
        text = " | ".join(lines)
        return f"its last lines: {text if len(text) <= _TAIL_LENGTH else '…' + text[1 - _TAIL_LENGTH :]}"


def run_program(
    words: Sequence[str],
    environment: Mapping[str, str],
    limits: Limits,
    watch: Callable[[], None] = lambda: None,
) -> Output:
    """Run a program to its end. Whatever ends this call also ends the program and all that it started.

    Args:
        words: the program and its arguments.
        environment: its environment.
        limits: its limits.
        watch: is called about once a second.

    Returns:
        Its output.

    Raises:
        TrainerFailed: the program failed, took too long, or wrote too much; with its last lines.
    """
    output = Output()
    with _started(words, environment, output) as process:
        problem = _wait(process, limits, watch)
    if problem:
        raise TrainerFailed(f"{problem}; {output.last_lines()}")
    return output


def _wait(process: subprocess.Popen[bytes], limits: Limits, watch: Callable[[], None]) -> str:
    """Wait for the program; return what is wrong, empty for nothing."""
    until = time.monotonic() + limits.seconds
    while True:
        left = until - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(max(0.0, min(_TICK, left)))
            return _ended(code)
        if left <= 0:
            return (
                f"the program of TrainerCommand has not ended after {limits.seconds:,.0f} seconds, so it was "
                "stopped: make it faster, or raise TrainingTimeLimit"
            )
        watch()
        if (size := size_of(limits.folders, limits.most_bytes)) > limits.most_bytes:
            return (
                f"the files of the program of TrainerCommand take {size:,} bytes, more than "
                f"{limits.most_bytes:,}, so it was stopped: let it keep fewer files"
            )
        if (free := shutil.disk_usage(limits.folders[0]).free) < LEAST_FREE:
            return f"the disk has only {free:,} bytes left, so it was stopped: give the trainer a larger disk"


def _ended(code: int) -> str:
    number = code - 256 if code > 128 else code  # the guard exits with -9 for SIGKILL, which is 247
    if -number in _SIGNALS:
        name = signal.Signals(-number).name
        hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        return f"the program of TrainerCommand was ended by {name}{hint}"
    return f"the program of TrainerCommand ended with exit code {code}" if code else ""


@contextlib.contextmanager
def _started(
    words: Sequence[str], environment: Mapping[str, str], output: Output
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program under a guard, which ends it with all that it started when this process ends."""
    lifeline, held = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(lifeline), str(GRACE), *words],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[lifeline],
            start_new_session=True,
        )
    except BaseException:
        os.close(held)
        raise
    finally:
        os.close(lifeline)
    assert process.stdout is not None  # noqa: S101  it is a pipe
    with process.stdout as pipe:
        reader = threading.Thread(target=output.read, args=(pipe.fileno(),), name="output", daemon=True)
        reader.start()
        try:
            yield process
        finally:
            os.close(held)  # the guard ends the group, and with it the last writer of the pipe
            _end(process)
            reader.join(_ENDING)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait until the guard has ended, and kill what is left of the group if it hung or was killed."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_ENDING)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def size_of(folders: Sequence[Path], enough: int) -> int:
    """Return the bytes of all files in folders, without following links; stop counting above `enough`."""
    total, waiting = 0, [str(folder) for folder in folders]
    while waiting and total <= enough:
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError),
            os.scandir(waiting.pop()) as entries,
        ):
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_size
    return total
