"""The whole supervisor, over small stand-ins for the three servers."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from octospoon.cli.stack import attach, down, make_templates, start
from octospoon.cli.stack.process import identity
from octospoon.cli.stack.services import SERVICES
from octospoon.domain.errors import NotConfigured, ServiceUnavailable

SERVER = """
import http.server, pathlib, sys, tempfile

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

tempfile.mkdtemp()
starts = pathlib.Path("starts")
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkout whose servers are stand-ins that count how often their data folder was started on."""
    for service in SERVICES.values():
        python = tmp_path / ".octospoon" / "envs" / service.name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
        requirements = tmp_path / "infra" / "requirements" / f"{service.requirements}.txt"
        requirements.parent.mkdir(parents=True, exist_ok=True)
        requirements.write_text("pinned==1")
        stand_in = dataclasses.replace(
            service,
            argv=lambda place: [sys.executable, "-c", SERVER, str(place.port)],
            env=lambda _: {},
            prepare=None,
        )
        monkeypatch.setitem(SERVICES, service.name, stand_in)
    yield tmp_path
    down(tmp_path, progress=print)


def running(root: Path) -> list[str]:
    """Return what still runs in the checkout, by its working directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(root):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text())


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


def test_a_detached_stack_is_found_again_and_ended(root):
    stack = start(root, progress=print, detached=True)
    stack.start_process("trainer", ["sleep", "300"], {})
    found = attach(root)
    assert found
    assert found.urls == stack.urls
    assert [process.name for process in found.processes] == [
        "label-studio",
        "mlflow",
        "localstack",
        "trainer",
    ]
    found.check()
    lines: list[str] = []
    assert start(root, progress=lines.append, detached=True).urls == stack.urls
    assert lines == ["the stack is running already"]
    assert down(root, progress=print)
    assert running(root) == []
    assert attach(root) is None
    assert not down(root, progress=print)


def test_a_detached_stack_that_lost_a_server_is_started_anew(root):
    stack = start(root, progress=print, detached=True)
    os.kill(stack.processes[0].pid, signal.SIGKILL)
    while stack.processes[0].alive():
        time.sleep(0.02)
    again = start(root, progress=print, detached=True)
    assert all(process.alive() for process in again.processes)
    assert not any(process.alive() for process in stack.processes)


def test_a_stale_record_is_forgotten_and_strangers_are_left_alone(root):
    start(root, progress=print, detached=True, services=["localstack"])
    record = root / ".octospoon" / "run" / "stack.json"
    content = json.loads(record.read_text())
    down(root, progress=print)
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as stranger:
        content["processes"][0]["pid"] = stranger.pid
        record.write_text(json.dumps(content))
        assert attach(root) is None
        assert not record.exists()
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"name": "up", "urls": {}, "processes": [{"pid": 1}]}']
)
def test_a_record_that_cannot_be_read_counts_as_none(root, content):
    record = root / ".octospoon" / "run" / "stack.json"
    record.parent.mkdir(parents=True)
    record.write_text(content)
    assert not down(root, progress=print)


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
        kept = {folder.name for folder in logs.iterdir()} - {stack.name}
    assert kept == {f"demo-99999999{number}-00000000.1-1" for number in range(4, 9)}


OWNER = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
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
    left = list((root / ".octospoon" / "run").iterdir())
    assert bool(left) == (number == signal.SIGKILL)


def test_stacks_of_one_process_do_not_touch_each_other(root):
    with start(root, progress=print, services=["localstack"]) as first:
        with start(root, progress=print, services=["localstack"]) as second:
            assert first.run_dir != second.run_dir
        assert first.run_dir.exists()
        first.check()
