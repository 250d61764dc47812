"""Programs with limits on time, files and output; none leaves a process behind."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from octospoon.domain.errors import NotConfigured, TrainerFailed
from octospoon.training.command import program
from octospoon.training.command.command_line import CommandLine, Places, environment
from octospoon.training.command.program import Limits, Output, run_program

PATH = {"PATH": os.environ["PATH"]}
SPAWN = "sleep 300 & echo $! >> {0}/pids; setsid sleep 300 & echo $! >> {0}/pids; echo started; "


def sh(script: str, tmp_path: Path, seconds: float = 60, **limits: int) -> Output:
    return run_program(["sh", "-c", script], PATH, Limits(seconds, (tmp_path,), **limits))


def alive(tmp_path: Path) -> list[int]:
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_both_outputs_are_logged_and_their_end_kept(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    output = sh(r"echo one; printf '\033[31mtwo\033[0m\rthree\r\n' >&2; printf 'no end'", tmp_path)
    assert output.last_lines() == "its last lines: one | two | three | no end"
    assert "trainer: three" in caplog.text


def test_output_is_bounded(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(program, "_LOGGED_LINES", 5)
    output = sh("yes | head -c 300000; head -c 500000 /dev/zero | tr '\\0' x; echo; echo end", tmp_path)
    assert len(output.last_lines()) < 800
    assert output.last_lines().endswith("| end")
    assert caplog.text.count("trainer: ") == 5
    assert "the rest of the trainer's output is not logged" in caplog.text


def test_bytes_that_are_no_text_do_no_harm():
    output = Output()
    for part in (b"caf\xc3", b"\xa9 \xff\n", b"\x00\x1b]"):
        output.add(part)
    output.add(b"\n")
    assert output.last_lines() == "its last lines: café \ufffd | ]"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "ended with exit code 3; it has printed nothing"),
        ("exit 255", "ended with exit code 255"),
        ("kill -9 $$", "ended by SIGKILL, perhaps for lack of memory"),
        ("kill -SEGV $$", "ended by SIGSEGV"),
    ],
)
def test_the_end_of_a_failed_program_is_described(tmp_path, script, reason):
    with pytest.raises(TrainerFailed, match=reason):
        sh(script, tmp_path)


def test_program_ends_at_its_time_with_all_that_it_started(tmp_path):
    with pytest.raises(TrainerFailed, match=r"not ended after 1 seconds, so .*lines: started"):
        sh(SPAWN.format(tmp_path) + "trap '' TERM; sleep 300", tmp_path, seconds=1)
    assert not alive(tmp_path)


def test_what_a_finished_program_left_running_is_ended(tmp_path):
    sh(SPAWN.format(tmp_path), tmp_path)
    assert not alive(tmp_path)


def test_program_ends_with_a_job_that_is_stopped(tmp_path):
    def interrupt() -> None:
        while not (tmp_path / "pids").exists():
            time.sleep(0.02)
        time.sleep(0.2)
        signal.raise_signal(signal.SIGUSR1)

    def stopped(signum: int, frame: object) -> None:
        raise SystemExit(128 + signum)

    before = signal.signal(signal.SIGUSR1, stopped)
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(SystemExit):
            sh(SPAWN.format(tmp_path) + "sleep 300", tmp_path)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not alive(tmp_path)


def test_program_ends_with_a_job_that_is_killed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from octospoon.training.command.program import *\n"
        "run_program(['sh', '-c', sys.argv[1]], {'PATH': sys.argv[2]}, Limits(300, (Path(sys.argv[3]),)))"
    )
    script = SPAWN.format(tmp_path) + f"touch {tmp_path}/ready; sleep 300"
    job = subprocess.Popen(
        [sys.executable, "-c", code, script, PATH["PATH"], str(tmp_path)], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job.kill()
    job.wait()
    while alive(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_program_ends_although_its_guard_was_killed(tmp_path):
    script = f"sleep 300 & echo $! > {tmp_path}/pids; kill -9 $PPID; sleep 300"
    with pytest.raises(TrainerFailed, match="ended by SIGKILL"):
        sh(script, tmp_path)
    pid = int((tmp_path / "pids").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_program_with_too_large_files_is_stopped(tmp_path):
    with pytest.raises(TrainerFailed, match="take 8,000,000 bytes, more than 1,000,000, so it was stopped"):
        sh(
            f"mkdir {tmp_path}/a; truncate -s 8000000 {tmp_path}/a/file; sleep 300",
            tmp_path,
            most_bytes=10**6,
        )


def test_program_is_stopped_when_the_disk_is_nearly_full(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "LEAST_FREE", 2**60)
    with pytest.raises(TrainerFailed, match=r"the disk has only [0-9,]+ bytes left, so it was stopped"):
        sh("sleep 300", tmp_path)


def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "data", tmp_path / "output", tmp_path / "champion.onnx", 90)


def test_environment_has_no_secrets_and_names_the_places(tmp_path):
    ours = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "CUDA_VISIBLE_DEVICES": "0",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "x",
        "aws_session_token": "x",
        "ECS_CONTAINER_METADATA_URI_V4": "x",
        "MLFLOW_TRACKING_URI": "http://me:secret@host",
        "MLFLOW_TRACKING_PASSWORD": "x",
        "DAGSHUB_USER_TOKEN": "x",
        "LABEL_STUDIO_USER_TOKEN": "x",
        "OCTOSPOON_CONTROL_TABLE": "x",
        "HF_TOKEN": "x",
        "WANDB_API_KEY": "x",
        "DB_PASSWD": "x",
    }
    assert environment(ours, places(tmp_path), tmp_path / "tmp") == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "CUDA_VISIBLE_DEVICES": "0",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "OCTOSPOON_DATA": f"{tmp_path}/data",
        "OCTOSPOON_OUTPUT": f"{tmp_path}/output",
        "OCTOSPOON_CHAMPION": f"{tmp_path}/champion.onnx",
        "OCTOSPOON_SECONDS": "90",
        "TMPDIR": f"{tmp_path}/tmp",
        "PYTHONUNBUFFERED": "1",
    }


def test_command_line_has_quotes_and_places_but_no_shell(tmp_path):
    line = CommandLine.read(
        "yolo train data={data} 'name=a b' project={output} {champion} {seconds} {other} $HOME {"
    )
    assert line.filled(places(tmp_path)) == [
        "yolo",
        "train",
        f"data={tmp_path}/data",
        "name=a b",
        f"project={tmp_path}/output",
        f"{tmp_path}/champion.onnx",
        "90",
        "{other}",
        "$HOME",
        "{",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs TrainerCommand"),
        ("  ", "needs TrainerCommand"),
        ("''", "needs"),
        ("a 'b", "No closing quotation"),
    ],
)
def test_command_line_that_is_none_is_refused(text, reason):
    with pytest.raises(NotConfigured, match=reason):
        CommandLine.read(text)
