"""The stack that `octospoon up` leaves running, over small stand-ins: nothing that it held is removed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from integration.stack.stand_ins import SERVER, running, starts

from octospoon.cli.stack import attach, down, kept, start
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import HOST
from octospoon.cli.stack.strays import strays
from octospoon.domain.errors import ServiceUnavailable


def up(root: Path, progress=print):
    return start(root, progress=progress, fresh=True, detached=True)


def kill(stack, *names: str) -> None:
    for process in [one for one in stack.processes if one.name in names]:
        os.kill(process.pid, signal.SIGKILL)
        while process.alive():
            time.sleep(0.02)


@contextlib.contextmanager
def listening_on(port: int):
    """Listen on a port, once no connection of another process holds it."""
    for _ in range(300):
        try:
            server = socket.create_server((HOST, port))
        except OSError:
            time.sleep(0.1)
        else:
            break
    with server:
        yield


def held(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("label-studio/work-*")}


def work(root: Path, name: str) -> None:
    """Leave what somebody made in Label Studio's folder."""
    (root / ".octospoon" / "run" / "up" / "label-studio" / f"work-{name}").write_text(name)


def kept_work(root: Path) -> set[str]:
    return {name for folder in kept.folders(Layout(root)) for name in held(folder)}


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


@pytest.mark.parametrize("name", ["label-studio", "mlflow"])
def test_ended_server_is_restarted_on_its_data_and_port(root, name):
    stack = up(root)
    work(root, "before")
    kill(stack, name)
    again = up(root)
    assert again.urls == stack.urls
    assert all(process.alive() for process in again.processes)
    assert {one.pid for one in again.processes} > {one.pid for one in stack.processes if one.name != name}
    assert starts(stack.run_dir / name) == 3  # the template, the stack, the stack again
    assert held(stack.run_dir) == {"work-before"}
    assert not kept_work(root)
    assert attach(root).urls == stack.urls


def test_only_the_trainer_is_removed_for_a_restart(root):
    stack = up(root)
    trainer = stack.start_process("trainer", ["sleep", "300"], {})
    os.kill(trainer.pid, signal.SIGTERM)
    while trainer.alive():
        time.sleep(0.02)
    work(root, "before")
    again = up(root)
    assert [one.name for one in again.processes] == ["label-studio", "mlflow", "localstack"]
    assert [one.pid for one in again.processes] == [one.pid for one in stack.processes if one != trainer]
    assert held(stack.run_dir) == {"work-before"}


def test_without_localstack_data_are_kept_and_a_new_stack_starts(root):
    stack = up(root)
    work(root, "before")
    (root / ".octospoon/run/project.json").write_text(json.dumps({"endpoint_url": stack.aws_url}))
    kill(stack, "localstack")
    lines: list[str] = []
    again = up(root, lines.append)
    assert all(process.alive() for process in again.processes)
    assert not any(process.alive() for process in stack.processes)
    (folder,) = kept.folders(Layout(root))
    assert {path.name for path in folder.iterdir()} >= {
        *("label-studio", "mlflow", "logs", "stack.json", "project.json", "credentials.json", kept.README)
    }
    assert held(folder) == {"work-before"}
    assert any(folder.name in line for line in lines)
    assert "--forget" in (folder / kept.README).read_text()


def test_after_a_reboot_everything_is_kept_aside(root):
    stack = up(root)
    work(root, "before")
    record = root / ".octospoon/run/stack.json"
    kill(stack, "label-studio", "mlflow", "localstack")
    content = json.loads(record.read_text())
    for process in content["processes"]:
        process["started"] = "another boot.1"
    record.write_text(json.dumps(content))
    assert attach(root) is None
    assert held(stack.run_dir) == {"work-before"}, "looking changes nothing"
    up(root)
    assert kept_work(root) == {"work-before"}


def test_down_keeps_what_the_stack_held_and_forgetting_removes_it(root):
    for number in range(3):
        up(root)
        work(root, str(number))
        assert down(root, progress=print)
    assert kept_work(root) == {"work-0", "work-1", "work-2"}
    assert not (root / ".octospoon/run/up").exists()
    assert not down(root, progress=print)
    assert len(kept.folders(Layout(root))) == 3
    kept.forget(Layout(root))
    assert kept.folders(Layout(root)) == []


@pytest.mark.parametrize(
    "content", [None, "", "{}", "[1]", '{"name": "up", "urls": {}, "processes": [{"pid": 1}]}']
)
def test_unreadable_record_loses_nothing_and_leaves_nothing_running(root, content):
    record = root / ".octospoon/run/stack.json"
    up(root)
    work(root, "before")
    record.unlink()
    if content is not None:
        record.write_text(content)
    again = up(root)
    assert kept_work(root) == {"work-before"}
    assert len(running(root)) == 2 * len(again.processes), "each with its guard, and nothing of before"
    assert down(root, progress=print)
    assert running(root) == []


@pytest.mark.parametrize("content", ["", "{}", "[1]"])
def test_a_record_that_cannot_be_read_counts_as_none(root, content):
    record = root / ".octospoon" / "run" / "stack.json"
    record.parent.mkdir(parents=True)
    record.write_text(content)
    assert not down(root, progress=print)


def test_strangers_with_the_id_of_a_program_are_left_alone(root):
    start(root, progress=print, detached=True, services=["localstack"])
    record = root / ".octospoon" / "run" / "stack.json"
    content = json.loads(record.read_text())
    down(root, progress=print)
    stranger = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        content["processes"][0]["pid"] = stranger.pid
        record.write_text(json.dumps(content))
        assert attach(root) is None
        assert not down(root, progress=print)
        assert not record.exists()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_port_taken_by_another_program_is_reported_and_nothing_lost(root, monkeypatch):
    monkeypatch.setattr("octospoon.cli.stack.detached._CLOSING", 0.2)
    stack = up(root)
    work(root, "before")
    kill(stack, "mlflow")
    port = int(stack.mlflow_url.rpartition(":")[2])
    with listening_on(port), pytest.raises(ServiceUnavailable, match=f"port {port}"):
        up(root)
    assert held(stack.run_dir) == {"work-before"}
    again = up(root)
    assert again.urls == stack.urls
    assert all(process.alive() for process in again.processes)


def test_two_at_once_mend_it_once(root):
    stack = up(root)
    work(root, "before")
    kill(stack, "label-studio")
    threads = [threading.Thread(target=up, args=(root,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert starts(stack.run_dir / "label-studio") == 3
    assert held(stack.run_dir) == {"work-before"}


@pytest.mark.parametrize("full", ["README.txt", "credentials.json"])
def test_full_disk_does_not_prevent_moving_work_aside(root, monkeypatch, full):
    up(root)
    work(root, "before")

    def fails(*_args, **_options):
        raise OSError(28, "No space left on device")

    if full == kept.README:
        monkeypatch.setattr(Path, "write_text", fails)
    else:
        monkeypatch.setattr(os, "link", fails)
    assert down(root, progress=print)
    assert kept_work(root) == {"work-before"}


@pytest.mark.parametrize("step", ["replace", "rename"])
def test_interruption_at_any_step_of_moving_aside_loses_nothing(root, monkeypatch, step):
    stack = up(root)
    work(root, "before")
    (root / ".octospoon/run/project.json").write_text(json.dumps({"endpoint_url": stack.aws_url}))
    real = getattr(Path, step)
    left: list[int] = []

    def dies(self, target):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return real(self, target)

    for steps in range(3):
        left[:] = range(steps)
        with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
            patched.setattr(Path, step, dies)
            down(root, progress=print)
        assert kept_work(root) | held(stack.run_dir) == {"work-before"}
    down(root, progress=print)
    assert kept_work(root) == {"work-before"}


OWNER = """
import dataclasses, pathlib, sys, time
from octospoon.cli.stack import start
from octospoon.cli.stack.services import SERVICES
SERVER = pathlib.Path(sys.argv[2]).read_text()
for name, service in list(SERVICES.items()):
    SERVICES[name] = dataclasses.replace(
        service,
        argv=lambda place: [sys.executable, "-c", SERVER, str(place.port)],
        env=lambda _: {},
        health="/health" if service.name != "mlflow" else "/never",
        prepare=None,
    )
start(pathlib.Path(sys.argv[1]), progress=lambda line: print(line, flush=True), fresh=True, detached=True)
"""


def test_killed_ups_processes_end_and_its_data_are_kept(root):
    server = root / "server.py"
    server.write_text(
        SERVER.replace("self.send_response(200)", 'self.send_response(404 if self.path == "/never" else 200)')
    )
    command = [sys.executable, "-c", OWNER, str(root), str(server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        assert any("label-studio: ready" in line for line in owner.stdout)
        owner.kill()
    assert running(root)
    assert strays(root, "up", ())
    stack = up(root)
    assert len(running(root)) == 2 * len(stack.processes)
    assert kept.folders(Layout(root))
