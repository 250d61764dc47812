"""A backup of a local stack: made while its servers write, and restored to an empty checkout."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tarfile
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from octospoon.cli.stack import backup, resumable
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.services import DATABASES
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from pathlib import Path


def silent(_: str) -> None:
    pass


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A checkout with the data of a stack that was not stopped: its databases have open logs."""
    layout = Layout(tmp_path / "checkout")
    write(layout.credentials, '{"label_studio": {}}')
    write(layout.settings, '{"classes": ["cat"]}')
    write(layout.resumed_project, "{}")
    for name, table in (("label-studio", "task_completion"), ("mlflow", "runs"), ("localstack", "records")):
        database(layout.data / name / DATABASES[name], table)
    stored = layout.data / "localstack/object-files/ab/1"
    write(stored, "pixels")
    shown = layout.data / "localstack/objects/octospoon-images-1/a b.png"
    shown.parent.mkdir(parents=True)
    os.link(stored, shown)
    write(layout.data / "localstack/filesystem/tmp/big", "x" * 1000)
    resumable.mark(layout)
    return layout


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def database(path: Path, table: str) -> sqlite3.Connection:
    """Return the open connection of a server that has written one row, into its write-ahead log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
    connection.execute(f"INSERT INTO {table} VALUES (NULL)")
    OPEN.append(connection)
    return connection


OPEN: list[sqlite3.Connection] = []
"""Connections that stay open, as those of servers that run."""


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_backup_brings_everything_into_an_empty_checkout(layout: Layout, tmp_path: Path) -> None:
    file, other = tmp_path / "all.tar", Layout(tmp_path / "other")

    written = backup.back_up(layout, file, silent)
    read = backup.restore(other, file, silent)

    assert read == written
    assert written.details == {"annotations": 1, "objects": 1}
    assert rows(other.data / "label-studio/label_studio.sqlite3", "task_completion") == 1
    assert rows(other.data / "mlflow/mlflow.db", "runs") == 1
    stored = other.data / "localstack/object-files/ab/1"
    shown = other.data / "localstack/objects/octospoon-images-1/a b.png"
    assert shown.read_text() == "pixels"
    assert shown.samefile(stored)
    assert other.settings.read_text() == layout.settings.read_text()
    assert other.credentials.read_text() == layout.credentials.read_text()
    assert not (other.data / "localstack/filesystem").exists()
    assert resumable.problem(other, set(DATABASES)) == ""
    assert file.stat().st_mode & 0o077 == 0
    assert not list(layout.home.glob("backup-*")) + list(other.home.glob("backup-*"))


def test_a_backup_of_a_running_stack_is_sound(layout: Layout, tmp_path: Path) -> None:
    """A row is written after its file, as LocalStack does: every row of the copy has its file."""
    ended, started = threading.Event(), threading.Event()
    folder = layout.data / "localstack/object-files/cd"
    folder.mkdir()

    def serve() -> None:
        path = layout.data / "localstack" / DATABASES["localstack"]
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            number = 1
            while not ended.is_set():
                number += 1
                (folder / str(number)).write_text("pixels")
                connection.execute("INSERT INTO records VALUES (?)", (number,))
                started.set()

    server = threading.Thread(target=serve)
    server.start()
    started.wait(10)
    try:
        for number in range(3):
            file, other = tmp_path / f"{number}.tar", Layout(tmp_path / f"other-{number}")
            backup.back_up(layout, file, silent)
            backup.restore(other, file, silent)
            state = other.data / "localstack" / DATABASES["localstack"]
            with closing(sqlite3.connect(state)) as connection:
                known = {str(row[0]) for row in connection.execute("SELECT id FROM records WHERE id > 1")}
            assert known <= {path.name for path in (other.data / "localstack/object-files/cd").iterdir()}
            assert known
    finally:
        ended.set()
        server.join()


def test_no_file_is_replaced_and_none_is_left_incomplete(layout: Layout, tmp_path: Path) -> None:
    file = tmp_path / "all.tar"
    file.write_text("mine")

    with pytest.raises(BadRequest, match="is there already"):
        backup.back_up(layout, file, silent)
    with pytest.raises(BadRequest, match="there is no folder"):
        backup.back_up(layout, tmp_path / "missing" / "all.tar", silent)

    assert file.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if "tar" in path.name] == ["all.tar"]


def test_a_checkout_without_data_has_no_backup(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="octospoon up"):
        backup.back_up(Layout(tmp_path), tmp_path / "all.tar", silent)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_truncated_backup_changes_nothing(layout: Layout, tmp_path: Path, share: float) -> None:
    file, other = tmp_path / "all.tar", Layout(tmp_path / "other")
    backup.back_up(layout, file, silent)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content.rstrip(bytes(1))))])

    with pytest.raises(BadRequest, match=r"backup|restored"):
        backup.restore(other, file, silent)

    assert not other.data.exists()
    assert not other.credentials.exists()


def test_a_damaged_database_is_not_restored(layout: Layout, tmp_path: Path) -> None:
    file, other = tmp_path / "all.tar", Layout(tmp_path / "other")
    backup.back_up(layout, file, silent)
    content = bytearray(file.read_bytes())
    start = content.index(b"SQLite format 3")
    content[start + 100 : start + 3000] = bytes(2900)
    file.write_bytes(content)

    with pytest.raises(BadRequest, match="is damaged"):
        backup.restore(other, file, silent)

    assert not other.data.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": backup.FORMAT + 1, "octospoon": "9.1"}, "octospoon 9.1, a newer version, wrote"),
        ({"content": backup.AWS}, "cannot be restored"),
        ({"color": "red"}, "not a backup that octospoon can read"),
    ],
)
def test_other_backups_are_refused(
    layout: Layout, tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    file = tmp_path / "all.tar"
    manifest = backup.manifest_now(backup.LOCAL, {})
    content = json.dumps({**{name: getattr(manifest, name) for name in manifest.__slots__}, **changes})
    with tarfile.open(file, "w") as archive:
        member = tarfile.TarInfo(backup.MANIFEST)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content.encode()))

    with pytest.raises((BadRequest, NotConfigured), match=problem):
        backup.restore(Layout(tmp_path / "other"), file, silent)


def test_a_file_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    file, other = tmp_path / "all.tar", Layout(tmp_path / "other")
    with tarfile.open(file, "w") as archive:
        backup.add_manifest(archive, backup.manifest_now(backup.LOCAL, {}))
        member = tarfile.TarInfo("../../escaped")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))

    with pytest.raises(BadRequest, match="not a complete backup"):
        backup.restore(other, file, silent)

    assert not (tmp_path / "escaped").exists()


def test_any_other_file_is_no_backup(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"\xff\xd8\xff")

    with pytest.raises(BadRequest, match="not a complete backup"):
        backup.restore(Layout(tmp_path / "other"), file, silent)
    with pytest.raises(BadRequest, match="does not exist"):
        backup.restore(Layout(tmp_path / "other"), tmp_path / "missing.tar", silent)
