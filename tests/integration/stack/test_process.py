"""The identity of a process: ids are reused, so each has its start time."""

from __future__ import annotations

import dataclasses
import os
import subprocess

from octospoon.cli.stack.process import Supervised, end, exit_code, identity


def test_identity_is_stable_and_differs_between_processes():
    with subprocess.Popen(["sleep", "300"]) as other:
        assert identity(os.getpid()) == identity(os.getpid())
        assert identity(other.pid)
        other.kill()


def test_identity_of_the_dead_is_none():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert identity(process.pid) is None


def test_a_zombie_counts_as_gone():
    with subprocess.Popen(["sleep", "0.05"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert identity(process.pid) is None


def test_a_later_process_with_the_same_id_is_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as stranger:
        recorded = Supervised("old", stranger.pid, "00000000.1", "up", str(tmp_path / "log"))
        assert not recorded.alive()
        end([recorded])
        assert stranger.poll() is None
        assert dataclasses.replace(recorded, started=identity(stranger.pid)).alive()  # type: ignore[arg-type]
        stranger.kill()


def test_the_exit_code_of_a_process_of_others_is_unknown():
    assert exit_code(os.getpid()) is None
