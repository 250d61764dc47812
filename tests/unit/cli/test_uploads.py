"""The files that `octospoon drop` uploads, their keys, and its messages about other files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from octospoon.cli.datasets import uploads
from octospoon.cli.datasets.uploads import Skipped, find
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))


def keys(*paths: Path) -> list[str]:
    return sorted(find(paths))


def test_a_single_folder_gives_the_paths_below_it(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/b/2.PNG", "a/b/c d/3.webp")
    assert keys(tmp_path / "a") == ["1.jpg", "b/2.PNG", "b/c d/3.webp"]
    assert keys(tmp_path / "a", tmp_path / "a/") == ["1.jpg", "b/2.PNG", "b/c d/3.webp"]


def test_several_folders_keep_their_names_whatever_is_in_them(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.jpg", "dog/1.jpg", "dog/2.jpg")
    before = keys(tmp_path / "cat", tmp_path / "dog")
    assert before == ["cat/1.jpg", "dog/1.jpg", "dog/2.jpg"]
    make(tmp_path, "cat/2.jpg")
    assert keys(tmp_path / "dog", tmp_path / "cat") == sorted([*before, "cat/2.jpg"])


def test_folders_of_one_name_keep_more_of_their_paths(tmp_path: Path) -> None:
    make(tmp_path, "june/photos/1.jpg", "july/photos/1.jpg", "cat/1.jpg")
    assert keys(tmp_path / "june/photos", tmp_path / "july/photos", tmp_path / "cat") == [
        *("cat/1.jpg", "july/photos/1.jpg", "june/photos/1.jpg")
    ]


def test_named_files_keep_folders_only_where_names_collide(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.jpg", "dog/1.jpg", "dog/2.jpg")
    files = [tmp_path / "cat/1.jpg", tmp_path / "dog/1.jpg", tmp_path / "dog/2.jpg"]
    assert keys(*files) == ["2.jpg", "cat/1.jpg", "dog/1.jpg"]
    assert keys(files[0]) == ["1.jpg"]


def test_what_is_not_taken_is_told_by_reason(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg", "notes.txt", "more.txt", "phone.svg", ".hidden.jpg", ".git/2.jpg", "x\ty.jpg")
    (tmp_path / "empty.png").touch()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "same.jpg").symlink_to(tmp_path / "1.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    skipped = Skipped()
    assert list(find([tmp_path], "", skipped)) == ["1.jpg"]
    assert skipped.counts == {
        uploads.NO_IMAGE: 2,
        uploads.NOT_READ: 1,
        uploads.HIDDEN: 2,
        uploads.EMPTY: 1,
        uploads.UNREADABLE: 1,
        uploads.LOOP: 1,
        uploads.TWICE: 1,
        uploads.NO_FILE: 1,
        uploads.ODD_KEY: 2,
    }
    assert all(line.isprintable() for line in skipped.lines())


def test_a_key_that_s3_would_refuse_is_told(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg")
    skipped = Skipped()
    assert not find([tmp_path], "p" * 1020 + "/", skipped)
    assert skipped.counts == {uploads.LONG_KEY: 1}


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="does not exist"):
        find([tmp_path / "nope"])


def test_a_key_that_label_studio_cannot_show_is_not_taken(tmp_path: Path) -> None:
    for name in ("what?.png", "trail .png", "plain.png"):
        (tmp_path / name).write_bytes(b"x")
    skipped = uploads.Skipped()

    files = uploads.find([tmp_path], "", skipped)

    assert sorted(files) == ["plain.png", "trail .png"]
    assert skipped.counts == {uploads.NOT_SHOWN: 1}
    assert uploads.find([tmp_path], "/", uploads.Skipped()) == {}
