"""The data of a server whose version has changed, over small stand-ins: a copy is kept, and work goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from integration.stack.stand_ins import running

from octospoon.cli.stack import down, start, upgrades
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.services import DATABASES, SERVICES
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from pathlib import Path

UPGRADE = """
import pathlib, sqlite3, sys, time

with sqlite3.connect(sys.argv[1]) as database:
    database.execute("CREATE TABLE IF NOT EXISTS work (name TEXT)")
    (before,) = database.execute("PRAGMA user_version").fetchone()
    database.execute(f"PRAGMA user_version = {before + 1}")
    database.commit()
    fail = pathlib.Path(sys.argv[2])
    if fail.exists():
        time.sleep(float(fail.read_text()))
        sys.exit("no such revision")
"""


@pytest.fixture
def trouble(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that makes the upgrade fail, after the seconds that the file contains."""
    file = root / "fail"
    command = [sys.executable, "-c", UPGRADE]
    stand_in = dataclasses.replace(
        SERVICES["mlflow"], upgrade=lambda place: [*command, str(place.data / "mlflow.db"), str(file)]
    )
    monkeypatch.setitem(SERVICES, "mlflow", stand_in)
    return file


def up(root: Path, progress=print):
    return start(root, progress=progress, detached=True)


def database(root: Path, name: str) -> Path:
    return Layout(root).data / name / DATABASES[name]


def version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def work(root: Path, name: str) -> None:
    """Leave a row in the write-ahead log of a database."""
    writer = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA journal_mode = WAL'); c.execute('CREATE TABLE IF NOT EXISTS work (name TEXT)');"
        "c.execute(\"INSERT INTO work VALUES ('mine')\"); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", writer, str(database(root, name))], check=False)


def rows(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM work")]


def copies(root: Path, name: str) -> list[Path]:
    return sorted((Layout(root).data / name / upgrades.BEFORE).glob("*"))


def install_another_version(root: Path, name: str) -> None:
    requirements = Layout(root).requirements(SERVICES[name].requirements)
    requirements.write_text(requirements.read_text() + "+1")


def work_and_install_another_version(root: Path, name: str) -> None:
    up(root)
    down(root, progress=print)
    work(root, name)
    install_another_version(root, name)


def test_a_first_start_makes_the_database(root, trouble):
    up(root)
    assert version(database(root, "mlflow")) == 1
    assert not copies(root, "mlflow")


def test_the_same_version_is_not_upgraded_again(root, trouble):
    up(root)
    down(root, progress=print)
    up(root)
    assert version(database(root, "mlflow")) == 1


def test_another_version_upgrades_and_keeps_a_copy(root, trouble):
    work_and_install_another_version(root, "mlflow")
    lines: list[str] = []
    up(root, lines.append)
    assert version(database(root, "mlflow")) == 2
    assert rows(database(root, "mlflow")) == ["mine"]
    (copy,) = copies(root, "mlflow")
    assert (version(copy), rows(copy)) == (1, ["mine"])
    assert any(copy.name in line for line in lines)
    down(root, progress=print)
    up(root)
    assert copies(root, "mlflow") == [copy]


def test_a_server_that_upgrades_itself_gets_its_own_database(root, trouble):
    work_and_install_another_version(root, "label-studio")
    up(root)
    (copy,) = copies(root, "label-studio")
    assert rows(copy) == rows(database(root, "label-studio")) == ["mine"]
    assert not copies(root, "mlflow")


def test_an_upgrade_that_fails_changes_nothing(root, trouble):
    work_and_install_another_version(root, "mlflow")
    trouble.write_text("0")
    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match=r"(?s)mlflow\.db cannot be used .*no such revision"):
            up(root)
    assert running(root) == []
    assert (version(database(root, "mlflow")), rows(database(root, "mlflow"))) == (1, ["mine"])
    assert not copies(root, "mlflow")
    trouble.unlink()
    up(root)
    assert version(database(root, "mlflow")) == 2


def test_a_killed_upgrade_is_repeated(root, trouble):
    work_and_install_another_version(root, "mlflow")
    trouble.write_text("300")
    killed = os.fork()
    if killed == 0:
        up(root, lambda _: None)
        os._exit(1)
    while not any("no such revision" in command for command in running(root)):
        time.sleep(0.02)
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    assert version(database(root, "mlflow")) == 1
    trouble.unlink()
    up(root)
    assert version(database(root, "mlflow")) == 2
    assert rows(database(root, "mlflow")) == ["mine"]
    assert not any("no such revision" in command for command in running(root))
