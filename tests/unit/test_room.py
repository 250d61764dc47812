"""The line before PyTorch is installed, and the refusal where the disk is too small."""

from __future__ import annotations

import shutil
from collections import namedtuple
from typing import TYPE_CHECKING

import pytest
from tools import room

if TYPE_CHECKING:
    from pathlib import Path

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The gigabytes that every disk says are free; a test may change them."""
    given = [100.0]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, given[0] * room.GIGABYTE))
    return given


def test_the_size_is_named_before_the_download(tmp_path: Path, free: list[float]) -> None:
    folder, cache = tmp_path / "envs" / "finetune", tmp_path / "cache"

    assert room.main(folder, cache, "Linux") == "· PyTorch: up to 3.3 GB to download, 6.5 GB on disk"
    assert "1.5 GB on disk" in room.main(folder, cache, "Darwin")


def test_a_full_disk_is_named_with_what_is_missing(tmp_path: Path, free: list[float]) -> None:
    free[0] = 4.0

    with pytest.raises(SystemExit, match=r"4\.0 GB are free in .*: make room for 2\.5 GB more") as stopped:
        room.main(tmp_path / "envs" / "finetune", tmp_path / "cache", "Linux")
    assert str(tmp_path) in str(stopped.value)


def test_files_in_the_cache_need_no_more_room(tmp_path: Path, free: list[float]) -> None:
    free[0] = 0.1
    file = tmp_path / "cache" / "archive-v0" / "x1y2" / "torch" / "version.py"
    file.parent.mkdir(parents=True)
    file.touch()

    assert "in the cache of uv" in room.main(tmp_path / "envs", tmp_path / "cache", "Linux")
