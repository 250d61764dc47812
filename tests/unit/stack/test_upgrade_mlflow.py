"""MLflow's database in the volume of its container: copied and upgraded once for each version."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from octospoon.cli.local.upgrade_mlflow import bring_up_to_date
from octospoon.cli.stack.upgrades import BEFORE


def write(path, statement):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def tables(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "mlflow.db"
    write(path, "CREATE TABLE runs (id)")
    return path


def upgrade(draft):
    write(draft, "CREATE TABLE newer (id)")


def test_a_database_is_copied_and_upgraded_once_for_a_version(database):
    messages = []
    for _ in range(2):
        bring_up_to_date(database, "3.18.0", upgrade, messages.append)
    (copy,) = (database.parent / BEFORE).iterdir()
    assert (tables(database), tables(copy)) == (["newer", "runs"], ["runs"])
    assert [line.split(":")[0] for line in messages] == ["MLflow 3.18.0"]
    assert not (database.parent / "upgrade").exists()


def test_a_failed_upgrade_changes_nothing_and_is_done_again(database):
    def failing(draft):
        upgrade(draft)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        bring_up_to_date(database, "3.18.0", failing, print)
    assert tables(database) == ["runs"]
    bring_up_to_date(database, "3.18.0", upgrade, print)
    assert tables(database) == ["newer", "runs"]


def test_a_new_volume_is_left_to_the_server(tmp_path):
    bring_up_to_date(tmp_path / "mlflow.db", "3.18.0", lambda _: pytest.fail("upgraded"), print)
    assert [path.name for path in tmp_path.iterdir()] == ["version"]
    write(tmp_path / "mlflow.db", "CREATE TABLE runs (id)")
    bring_up_to_date(tmp_path / "mlflow.db", "3.18.0", lambda _: pytest.fail("upgraded"), print)
