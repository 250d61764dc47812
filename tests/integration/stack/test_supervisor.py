"""The whole supervisor, over small stand-ins for the three servers."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from integration.stack.stand_ins import SERVER, running, starts

from octospoon.cli.stack import make_templates, start
from octospoon.cli.stack.process import identity
from octospoon.cli.stack.services import SERVICES
from octospoon.domain.errors import NotConfigured, ServiceUnavailable


def test_a_stack_ends_with_its_block_and_leaves_nothing(root):
    with start(root, progress=print, fresh=True) as stack:
        assert set(stack.urls) == {"localstack", "label-studio", "mlflow"}
        assert len(set(stack.urls.values())) == 3
        assert stack.aws_environment()["AWS_ENDPOINT_URL"] == stack.aws_url
        stack.check()
        assert stack.run_dir.exists()
    assert running(root) == []
    assert not stack.run_dir.exists()
    assert list((root / ".octospoon" / "run").iterdir()) == []
    assert (stack.logs_dir / "localstack.log").exists()


def test_a_stack_ends_when_its_block_fails(root):
    with pytest.raises(RuntimeError), start(root, progress=print, fresh=True):
        raise RuntimeError
    assert running(root) == []


def test_fresh_data_come_from_the_template_each_time(root):
    state = root / ".octospoon" / "state"
    for _ in range(2):
        with start(root, progress=print, fresh=True) as stack:
            assert starts(stack.run_dir / "label-studio") == 2
    assert starts(state / "label-studio-template") == 1
    assert not (state / "label-studio").exists()


def test_kept_data_are_used_again(root):
    for expected in (2, 3):
        with start(root, progress=print):
            assert starts(root / ".octospoon" / "state" / "label-studio") == expected


def test_a_template_is_made_once(root):
    lines: list[str] = []
    make_templates(root, progress=lines.append, services=["mlflow"])
    made = len(lines)
    make_templates(root, progress=lines.append, services=["mlflow"])
    assert made == len(lines) == 2
    assert running(root) == []


def test_a_new_version_gets_a_new_template(root):
    make_templates(root, progress=print)
    (root / "infra" / "requirements" / "training.txt").write_text("pinned==2")
    lines: list[str] = []
    make_templates(root, progress=lines.append)
    assert "mlflow: first start" in lines[0]


def test_credentials_are_made_once_and_only_for_us(root):
    with start(root, progress=print) as stack:
        first = stack.credentials
    with start(root, progress=print) as stack:
        assert stack.credentials == first
    file = root / ".octospoon" / "state" / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.password not in repr(first)
    assert first.token not in repr(first)


def test_kept_data_of_other_credentials_are_refused(root):
    with start(root, progress=print):
        pass
    (root / ".octospoon" / "state" / "credentials.json").unlink()
    with pytest.raises(NotConfigured, match="other credentials"):
        start(root, progress=print)
    assert running(root) == []


def test_a_missing_environment_is_named(root):
    (root / ".octospoon" / "envs" / "mlflow" / "bin" / "python").unlink()
    with pytest.raises(NotConfigured, match=r"mlflow.*make environments"):
        start(root, progress=print)


def test_a_server_that_fails_takes_the_others_with_it(root, monkeypatch):
    broken = dataclasses.replace(SERVICES["localstack"], argv=lambda _: ["sh", "-c", "echo no luck; exit 1"])
    monkeypatch.setitem(SERVICES, "localstack", broken)
    with pytest.raises(ServiceUnavailable, match=r"(?s)localstack ended with exit code 1.*no luck"):
        start(root, progress=print)
    assert running(root) == []


def test_a_further_process_is_supervised_too(root):
    with start(root, progress=print, services=["localstack"]) as stack:
        stack.start_process("trainer", ["sh", "-c", 'echo "$GREETING"; sleep 300'], {"GREETING": "hello"})
        stack.check()
        again = stack.start_process("loader", ["sh", "-c", "exit 4"], {})
        while again.alive() or not (stack.logs_dir / "trainer.log").read_text():
            time.sleep(0.02)
        with pytest.raises(ServiceUnavailable, match="loader ended with exit code 4"):
            stack.check()
    assert running(root) == []
    assert (stack.logs_dir / "trainer.log").read_text() == "hello\n"


def test_what_a_killed_stack_left_is_swept_away(root):
    run = root / ".octospoon" / "run"
    theirs = run / f"demo-{os.getppid()}-{identity(os.getppid())}-1"
    for folder in (theirs, run / "demo-999999999-00000000.1-1", run / "up"):
        folder.mkdir(parents=True)
    with start(root, progress=print, services=["localstack"]):
        pass
    assert {folder.name for folder in run.iterdir()} == {theirs.name, "up"}


def test_only_the_newest_logs_are_kept(root):
    logs = root / ".octospoon" / "logs"
    for number in range(9):
        folder = logs / f"demo-99999999{number}-00000000.1-1"
        folder.mkdir(parents=True)
        os.utime(folder, (number, number))
    with start(root, progress=print, services=["localstack"]) as stack:
        folders = {folder.name for folder in logs.iterdir()} - {stack.name}
    assert folders == {f"demo-99999999{number}-00000000.1-1" for number in range(4, 9)}


OWNER = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore these
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from octospoon.cli.stack import start
from octospoon.cli.stack.services import SERVICES
import dataclasses, time
SERVER = pathlib.Path(sys.argv[2]).read_text()
for name, service in list(SERVICES.items()):
    SERVICES[name] = dataclasses.replace(
        service,
        argv=lambda place: [sys.executable, "-c", SERVER, str(place.port)],
        env=lambda _: {},
        prepare=None,
        upgrade=None,
    )
with start(pathlib.Path(sys.argv[1]), progress=print, fresh=True):
    print("up", flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_stack_ends_with_the_program_that_started_it(root, number):
    server = root / "server.py"
    server.write_text(SERVER)
    command = [sys.executable, "-c", OWNER, str(root), str(server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdout
        while owner.stdout.readline() != "up\n":
            assert owner.poll() is None
        assert len(running(root)) > 3
        owner.send_signal(number)
        owner.wait(30)
    deadline = time.monotonic() + 20
    while running(root):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    remaining = list((root / ".octospoon" / "run").iterdir())
    assert bool(remaining) == (number == signal.SIGKILL)


def test_stacks_of_one_process_do_not_touch_each_other(root):
    with start(root, progress=print, services=["localstack"]) as first:
        with start(root, progress=print, services=["localstack"]) as second:
            assert first.run_dir != second.run_dir
        assert first.run_dir.exists()
        first.check()
