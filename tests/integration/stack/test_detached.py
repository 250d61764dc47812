"""The detached stack of `octospoon up`, over small stand-ins: a restart keeps its data."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from integration.stack.stand_ins import SERVER, running, starts

from octospoon.cli.stack import attach, down, kept, start
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import HOST, free_port
from octospoon.cli.stack.services import SERVICES
from octospoon.cli.stack.strays import strays
from octospoon.domain.errors import ServiceUnavailable


def up(root: Path, progress=print):
    return start(root, progress=progress, detached=True)


def kill(stack, *names: str) -> None:
    for process in [candidate for candidate in stack.processes if candidate.name in names]:
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


def locked(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("label-studio/work-*")}


def work(root: Path, name: str) -> None:
    """Leave a user's work in Label Studio's folder."""
    (root / ".octospoon" / "data" / "label-studio" / f"work-{name}").write_text(name)


def complete(layout: Layout) -> None:
    """Leave the files of a stack that was started completely."""
    files = (
        ("label-studio", "label_studio.sqlite3"),
        ("mlflow", "mlflow.db"),
        ("localstack", "state.sqlite3"),
    )
    for name, database in files:
        with contextlib.closing(sqlite3.connect(layout.data / name / database)) as connection:
            connection.execute("CREATE TABLE t (x)")
    layout.resumed_project.write_text("{}")


def kept_work(root: Path) -> set[str]:
    return {name for folder in kept.folders(Layout(root)) for name in locked(folder)}


def test_a_detached_stack_is_found_again_and_ended(root):
    stack = start(root, progress=print, detached=True)
    stack.start_process("trainer", ["sleep", "300"], {})
    attached = attach(root)
    assert attached
    assert attached.urls == stack.urls
    assert [process.name for process in attached.processes] == [
        "label-studio",
        "mlflow",
        "localstack",
        "trainer",
    ]
    attached.check()
    lines: list[str] = []
    assert start(root, progress=lines.append, detached=True).urls == stack.urls
    assert lines == ["the stack is running already"]
    assert down(root, progress=print)
    assert running(root) == []
    assert attach(root) is None
    assert not down(root, progress=print)


@pytest.mark.parametrize("name", ["label-studio", "mlflow", "localstack"])
def test_ended_server_is_restarted_on_its_data_and_port(root, name):
    stack = up(root)
    work(root, "before")
    kill(stack, name)
    again = up(root)
    assert again.urls == stack.urls
    assert all(process.alive() for process in again.processes)
    assert {process.pid for process in again.processes} > {
        process.pid for process in stack.processes if process.name != name
    }
    first_starts = 1 if name == "localstack" else 2  # others have a template
    assert starts(stack.run_dir / name) == first_starts + 1
    assert locked(stack.run_dir) == {"work-before"}
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
    assert [process.name for process in again.processes] == ["label-studio", "mlflow", "localstack"]
    assert [process.pid for process in again.processes] == [
        process.pid for process in stack.processes if process != trainer
    ]
    assert locked(stack.run_dir) == {"work-before"}


ENDS = {
    "down": lambda root, stack: down(root, progress=print),
    "killed": lambda root, stack: kill(stack, "label-studio", "mlflow", "localstack"),
    "reboot": lambda root, stack: reboot(root, stack),
}


def reboot(root: Path, stack) -> None:
    """End all processes, and record another boot id for them."""
    kill(stack, "label-studio", "mlflow", "localstack")
    record = root / ".octospoon/run/stack.json"
    content = json.loads(record.read_text())
    for process in content["processes"]:
        process["started"] = "another boot.1"
    record.write_text(json.dumps(content))


@pytest.mark.parametrize("end", ENDS)
def test_a_stack_goes_on_with_its_data_and_ports(root, end):
    first = up(root)
    for number in range(2):
        work(root, str(number))
        ENDS[end](root, attach(root))
        assert attach(root) is None
        assert locked(first.run_dir) == {f"work-{before}" for before in range(number + 1)}
        again = up(root)
        assert again.urls == first.urls
        assert all(process.alive() for process in again.processes)
        assert locked(again.run_dir) == locked(first.run_dir)
    assert not kept.folders(Layout(root))
    assert len(running(root)) == 2 * len(again.processes), "each with its guard, and nothing of before"


def test_down_hides_the_stack_and_forgetting_removes_its_data(root):
    stack = up(root)
    work(root, "before")
    layout = Layout(root)
    for path in (layout.project, layout.resumed_project):
        path.write_text(json.dumps({"endpoint_url": stack.aws_url}))
    assert down(root, progress=print)
    assert not layout.project.exists()
    assert not layout.detached.exists()
    assert locked(layout.data) == {"work-before"}
    assert not down(root, progress=print)
    assert kept.all_data(layout) == [layout.data]
    kept.forget(layout)
    assert kept.all_data(layout) == []
    assert not layout.data.exists()


def test_down_leaves_the_description_of_a_stack_in_containers(root):
    up(root)
    project = Layout(root).project
    project.write_text(json.dumps({"endpoint_url": "http://127.0.0.1:1"}))
    assert down(root, progress=print)
    assert not down(root, progress=print)
    assert project.exists()


def test_ports_are_those_of_the_file(root):
    stack = up(root)
    down(root, progress=print)
    layout = Layout(root)
    chosen = json.loads(layout.ports.read_text()) | {"mlflow": free_port()}
    layout.ports.write_text(json.dumps(chosen))
    again = up(root)
    assert again.mlflow_url == f"http://{HOST}:{chosen['mlflow']}"
    assert again.aws_url == stack.aws_url


def test_what_follows_a_server_is_done_while_others_start(root):
    order = []
    start(root, progress=print, detached=True, when_ready=lambda name, urls: order.append((name, urls)))
    stack = attach(root)
    assert {name for name, _ in order} == {"label-studio", "mlflow", "localstack"}
    assert all(urls == stack.urls for _, urls in order)
    kill(stack, "localstack")
    start(root, progress=print, detached=True, when_ready=lambda name, urls: order.append((name, urls)))
    assert order[3:] == [("localstack", stack.urls)]


def test_failure_of_later_work_loses_nothing(root):
    def fails(*_):
        raise ServiceUnavailable("no luck")

    up(root)
    work(root, "before")
    down(root, progress=print)
    with pytest.raises(ServiceUnavailable, match="no luck"):
        start(root, progress=print, detached=True, when_ready=fails)
    assert running(root) == []
    assert locked(up(root).run_dir) == {"work-before"}


DAMAGE = {
    "format.json is missing": lambda data: (data / "format.json").unlink(),
    "a newer version": lambda data: (data / "format.json").write_text('{"format": 2, "octospoon": "99"}'),
    "label-studio/label_studio.sqlite3 is damaged": lambda data: (
        data / "label-studio/label_studio.sqlite3"
    ).write_text("no database" * 1000),
    "localstack/state.sqlite3 is missing": lambda data: (data / "localstack/state.sqlite3").unlink(),
}


@pytest.mark.parametrize("reason", DAMAGE)
def test_data_that_cannot_be_used_again_are_moved_aside(root, reason):
    up(root)
    work(root, "before")
    down(root, progress=print)
    layout = Layout(root)
    complete(layout)
    DAMAGE[reason](layout.data)
    lines: list[str] = []
    up(root, lines.append)
    (folder,) = kept.folders(layout)
    assert kept_work(root) == {"work-before"}
    assert any("cannot be used again" in line and reason in line for line in lines)
    assert any(folder.name in line for line in lines)
    assert {path.name for path in folder.iterdir()} >= {"label-studio", "mlflow", "logs", kept.README}
    assert reason in (folder / kept.README).read_text()
    assert locked(layout.data) == set()


def test_data_of_an_older_version_are_moved_aside(root):
    older = root / ".octospoon/run/up/label-studio"
    older.mkdir(parents=True)
    (older / "work-before").touch()
    lines: list[str] = []
    up(root, lines.append)
    assert kept_work(root) == {"work-before"}
    assert any("an older version" in line for line in lines)


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
    assert locked(again.run_dir) == {"work-before"}
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
    complete(Layout(root))
    kill(stack, "mlflow")
    port = int(stack.mlflow_url.rpartition(":")[2])
    with listening_on(port), pytest.raises(ServiceUnavailable, match=f"port {port}"):
        up(root)
    assert locked(stack.run_dir) == {"work-before"}
    again = up(root)
    assert again.urls == stack.urls
    assert all(process.alive() for process in again.processes)


def test_a_first_start_moves_to_another_port(root, monkeypatch):
    monkeypatch.setattr("octospoon.cli.stack.detached._CLOSING", 0.2)
    first_choice = SERVICES["mlflow"].port
    layout = Layout(root)
    layout.home.mkdir(exist_ok=True)
    layout.ports.write_text(json.dumps({name: service.port for name, service in SERVICES.items()}))
    with listening_on(first_choice):
        stack = up(root)
    port = int(stack.mlflow_url.rpartition(":")[2])
    assert port != first_choice
    assert json.loads(layout.ports.read_text())["mlflow"] == port
    assert attach(root).urls == stack.urls


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
    assert locked(stack.run_dir) == {"work-before"}


@pytest.mark.parametrize("full", ["README.txt", "credentials.json"])
def test_full_disk_does_not_prevent_moving_work_aside(root, monkeypatch, full):
    up(root)
    work(root, "before")
    down(root, progress=print)

    def fails(*_args, **_options):
        raise OSError(28, "No space left on device")

    if full == kept.README:
        monkeypatch.setattr(Path, "write_text", fails)
    else:
        monkeypatch.setattr(os, "link", fails)
    kept.keep_aside(Layout(root), "a reason")
    assert kept_work(root) == {"work-before"}


@pytest.mark.parametrize("aside", [lambda layout: kept.keep_aside(layout, "a reason"), kept.forget])
def test_interruption_at_any_step_loses_nothing(root, monkeypatch, aside):
    stack = up(root)
    work(root, "before")
    down(root, progress=print)
    real = Path.rename
    remaining: list[int] = []

    def dies(self, *target):
        if not remaining:
            raise KeyboardInterrupt
        remaining.pop()
        return real(self, *target)

    for steps in range(2):
        remaining[:] = range(steps)
        with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
            patched.setattr(Path, "rename", dies)
            patched.setattr("shutil.rmtree", dies)
            aside(Layout(root))
        assert kept_work(root) | locked(stack.run_dir) == {"work-before"}


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
        upgrade=None,
    )
start(pathlib.Path(sys.argv[1]), progress=lambda line: print(line, flush=True), detached=True)
"""


def test_processes_of_a_killed_up_end(root):
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
