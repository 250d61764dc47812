"""Files that are written completely or not at all."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING

import pytest

from octospoon.adapters.files import PRIVATE, draft_of, new_file
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_draft_replaces_the_file_when_the_block_ends(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text("before")
    with draft_of(file, PRIVATE) as draft:
        draft.write_text("after")
        assert file.read_text() == "before"
    assert file.read_text() == "after"
    assert file.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text("before")
    with pytest.raises(OSError, match="full"):
        failing(file)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def failing(file: Path) -> None:
    with draft_of(file) as draft:
        draft.write_text("half")
        raise OSError("the disk is full")


def test_a_killed_writer_leaves_no_file_and_can_be_repeated(tmp_path):
    file = tmp_path / "labels.csv"
    writer = multiprocessing.get_context("fork").Process(target=killed, args=(file,))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert not file.exists()
    with new_file(file) as draft:
        draft.write_text("all")
    assert file.read_text() == "all"


def killed(file: Path) -> None:
    with new_file(file) as draft:
        draft.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_new_file_replaces_no_file_and_makes_no_folder(tmp_path):
    (tmp_path / "labels.csv").write_text("mine")
    with pytest.raises(BadRequest, match=r"labels\.csv is there already"), new_file(tmp_path / "labels.csv"):
        pytest.fail("the block ran")
    with pytest.raises(BadRequest, match="there is no folder"), new_file(tmp_path / "no" / "labels.csv"):
        pytest.fail("the block ran")
    assert (tmp_path / "labels.csv").read_text() == "mine"
