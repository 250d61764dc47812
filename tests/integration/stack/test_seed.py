"""The database that Label Studio's first start begins with."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.seed import DATABASE, KEPT_ROWS, harvest, plant, seed_file

ROOT = Path(__file__).parents[3]


@pytest.fixture
def layout(tmp_path):
    copy = Layout(tmp_path)
    seed_file(copy).parent.mkdir(parents=True)
    shutil.copy(seed_file(Layout(ROOT)), seed_file(copy))
    return copy


def test_what_is_planted_is_harvested(layout, tmp_path):
    before = seed_file(layout).read_text()
    plant(layout, tmp_path)
    harvest(layout, tmp_path)
    assert seed_file(layout).read_text() == before


def test_no_user_and_no_secret_is_harvested(layout, tmp_path):
    plant(layout, tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.execute("INSERT INTO organization VALUES (1, 'us', '', '', 1, 'a secret', NULL)")
        database.commit()
    harvest(layout, tmp_path)
    assert "a secret" not in seed_file(layout).read_text()


def test_only_rows_of_migrations_are_kept(layout):
    inserts = [line for line in seed_file(layout).read_text().splitlines() if line.startswith("INSERT")]
    assert {line.split('"')[1] for line in inserts} == set(KEPT_ROWS)
