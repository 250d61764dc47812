"""The guard, with real programs: no process survives any kind of end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from octospoon.cli.stack.process import Supervised, end, exit_code, identity, spawn
from octospoon.runtime import guard

if TYPE_CHECKING:
    from pathlib import Path

STUBBORN = "trap '' TERM; sleep 300 & while true; do wait; done"
WITH_DESCENDANTS = """
import pathlib, subprocess, sys, time
out = pathlib.Path(sys.argv[1])
sleep = [sys.executable, "-c", "import time; time.sleep(300)"]
same_group = subprocess.Popen(sleep)
other_session = subprocess.Popen(sleep, start_new_session=True)
(out / "draft").write_text(f"{same_group.pid} {other_session.pid}")
(out / "draft").rename(out / "pids")
time.sleep(float(sys.argv[2]))
"""


def run(tmp_path: Path, *argv: str, lifeline: int | None = None, name: str = "program") -> Supervised:
    return spawn(
        name,
        argv,
        {"PATH": os.environ["PATH"]},
        log=tmp_path / "log",
        cwd=tmp_path,
        mark=f"test-{os.getpid()}",
        lifeline=lifeline,
    )


def family(tmp_path: Path, *, seconds: float, lifeline: int | None = None) -> tuple[Supervised, list[int]]:
    process = run(
        tmp_path, sys.executable, "-c", WITH_DESCENDANTS, str(tmp_path), str(seconds), lifeline=lifeline
    )
    eventually((tmp_path / "pids").exists)
    return process, [int(pid) for pid in (tmp_path / "pids").read_text().split()]


def eventually(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def gone(*pids: int) -> bool:
    return all(identity(pid) is None for pid in pids)


def test_everything_ends_when_asked(tmp_path):
    process, descendants = family(tmp_path, seconds=300)
    assert not gone(*descendants)
    end([process])
    assert gone(process.pid, *descendants)
    assert exit_code(process.pid) == 0


def test_everything_ends_with_the_program(tmp_path):
    process, descendants = family(tmp_path, seconds=0)
    eventually(lambda: gone(process.pid, *descendants))


def test_everything_ends_with_the_lifeline(tmp_path):
    read, write = os.pipe()
    process, descendants = family(tmp_path, seconds=300, lifeline=read)
    os.close(read)
    os.close(write)
    eventually(lambda: gone(process.pid, *descendants))


def test_a_detached_program_needs_no_lifeline(tmp_path):
    process = run(tmp_path, "sleep", "300")
    time.sleep(0.3)
    assert process.alive()
    end([process])


def test_a_program_that_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("octospoon.cli.stack.process.GRACE", 0.5)
    process = run(tmp_path, "sh", "-c", STUBBORN)
    time.sleep(0.3)
    end([process])
    assert gone(process.pid)


def test_the_exit_code_is_passed_on(tmp_path):
    process = run(tmp_path, "sh", "-c", "echo some words; exit 7")
    eventually(lambda: not process.alive())
    assert exit_code(process.pid) == 7
    assert (tmp_path / "log").read_text() == "some words\n"


def test_program_and_its_group_end_with_the_killed_guard(tmp_path):
    process, (same_group, other_session) = family(tmp_path, seconds=300)
    program = guard._children_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: gone(*program))
    end([process])
    assert gone(same_group)
    os.kill(other_session, signal.SIGKILL)


OWNER = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
from octospoon.cli.stack.process import lifeline, spawn
out = pathlib.Path(sys.argv[1])
path = {"PATH": os.environ["PATH"]}
sleep = ["sleep", "300"]
process = spawn("sleeper", sleep, path, log=out / "log", cwd=out, mark="test", lifeline=lifeline())
(out / "draft").write_text(str(process.pid))
(out / "draft").rename(out / "pids")
time.sleep(300)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_everything_ends_with_whoever_started_it(tmp_path, number):
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stderr=subprocess.DEVNULL) as owner:
        eventually((tmp_path / "pids").exists)
        sleeper = int((tmp_path / "pids").read_text())
        assert not gone(sleeper)
        owner.send_signal(number)
        owner.wait(20)
    eventually(lambda: gone(sleeper))
