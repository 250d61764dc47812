"""The database of LocalStack's state: a killed process loses nothing, an incomplete end is dropped."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from localstack_process_executor.durable import store as module
from localstack_process_executor.durable.store import Change, NewerStore, Store, Syncing

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from localstack_process_executor.durable.store import Change, Store
store = Store(Path(sys.argv[1]))
for number in range(100_000):
    store.write([Change("a", str(number), "x" * 2000), Change("b", str(number), "y")])
    print(number, flush=True)
    if number % 50 == 49:
        store.sync()
"""
PLUGIN = Path(__file__).parents[3] / "infra/localstack/process-executor"


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "state.sqlite3")
    yield opened
    opened.close()


def test_records_keep_the_order_of_their_first_write(store):
    store.write([Change("queue", "b", "1"), Change("queue", "a", "2"), Change("other", "b", "3")])
    store.write([Change("queue", "b", "4"), Change("queue", "c", "5")])
    assert store.read("queue") == [("b", "4"), ("a", "2"), ("c", "5")]
    store.write([Change("queue", "a", None), Change("queue", "nothing", None)])
    assert store.read("queue") == [("b", "4"), ("c", "5")]
    store.clear("queue")
    assert store.read("queue") == []
    assert store.read("other") == [("b", "3")]


def test_a_failed_write_changes_nothing(store):
    def changes():
        yield Change("a", "1", "x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.write(changes())
    assert store.read("a") == []
    store.write([Change("a", "2", "x")])
    assert store.read("a") == [("2", "x")]


def test_a_closed_store_is_read_again_with_its_seed(tmp_path):
    path = tmp_path / "state.sqlite3"
    first = Store(path)
    first.write([Change("a", "key\0with\nodd 🐙", "text")])
    seed = first.seed
    first.close()
    again = Store(path)
    assert again.read("a") == [("key\0with\nodd 🐙", "text")]
    assert again.seed == seed
    again.close()
    other = Store(tmp_path / "other.sqlite3")
    assert other.seed != seed
    other.close()


@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_process_loses_no_finished_write(tmp_path, attempt):
    path = tmp_path / "state.sqlite3"
    command = [sys.executable, "-c", WRITER, str(path), str(PLUGIN)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        writer.stdout.readline()
        time.sleep(random.Random(attempt).uniform(0.05, 0.3))
        writer.kill()
        confirmed = 1 + sum(1 for _ in writer.stdout)
    again = Store(path)
    for space in ("a", "b"):
        written = [int(key) for key, _ in again.read(space)]
        assert written == list(range(len(written)))
        assert confirmed <= len(written) <= confirmed + 1
    assert len(again.read("a")) == len(again.read("b")), "both or none of a transaction"
    again.close()


@pytest.mark.parametrize("tail", ["cut", "garbage"])
def test_of_a_torn_log_the_complete_transactions_are_read(tmp_path, tail):
    original = tmp_path / "state.sqlite3"
    written = Store(original)
    written.sync()
    for number in range(20):
        written.write([Change("a", str(number), "x" * 700), Change("b", str(number), "y")])
    log = tmp_path / "state.sqlite3-wal"
    size = log.stat().st_size
    lengths = set()
    for cut in [*range(0, size, 4099), size - 1, size]:
        copy = tmp_path / f"copy-{cut}" / original.name
        copy.parent.mkdir()
        shutil.copy(original, copy)
        torn = log.read_bytes()[:cut] + (
            random.Random(cut).randbytes(size - cut) if tail == "garbage" else b""
        )
        copy.with_name(log.name).write_bytes(torn)
        again = Store(copy)
        keys = [key for key, _ in again.read("a")]
        assert keys == [str(number) for number in range(len(keys))]
        assert keys == [key for key, _ in again.read("b")]
        again.write([Change("a", "later", "z")])
        assert again.read("a")[-1] == ("later", "z")
        lengths.add(len(keys))
        again.close()
    assert {0, 20} <= lengths
    assert len(lengths) > 5
    written.close()


def test_synced_records_are_in_the_database_itself(tmp_path, store):
    image = tmp_path / "picture"
    image.write_bytes(b"bytes")
    store.write([Change("a", "1", "x")], [image, tmp_path / "removed meanwhile"])
    store.sync()
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(store.path, copy)  # without its log
    again = Store(copy)
    assert again.read("a") == [("1", "x")]
    again.close()


def test_many_new_files_are_synced_together(tmp_path, store, monkeypatch):
    synced = []
    monkeypatch.setattr("os.sync", lambda: synced.append(True))
    store.write([Change("a", "1", "x")], [tmp_path / str(number) for number in range(501)])
    store.sync()
    assert synced == [True]


def test_the_store_is_synced_without_being_asked(store, monkeypatch):
    monkeypatch.setattr(module, "_INTERVAL", 0.01)
    syncing = Syncing(store)
    syncing.start()
    store.write([Change("a", "1", "x")])
    try:
        for _ in range(500):
            if b"CREATE TABLE" in store.path.read_bytes():
                break
            time.sleep(0.01)
        assert b"CREATE TABLE" in store.path.read_bytes()
    finally:
        syncing.end()


def test_a_failed_sync_is_tried_again(store, monkeypatch, caplog):
    monkeypatch.setattr(module, "_INTERVAL", 0.01)
    failures = [OSError("disk full"), sqlite3.OperationalError("locked")]
    synced = []

    def sync():
        if failures:
            raise failures.pop()
        synced.append(True)

    monkeypatch.setattr(store, "sync", sync)
    syncing = Syncing(store)
    syncing.start()
    for _ in range(500):
        if synced:
            break
        time.sleep(0.01)
    syncing.end()
    monkeypatch.undo()
    assert synced
    assert "disk full" in caplog.text


def test_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "state.sqlite3"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(NewerStore, match="version 99"):
        Store(path)
