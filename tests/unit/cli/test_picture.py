"""octospoon picture: one line of JSON about each file, without a stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from unit.corpus import jpeg, png
from unit.corpus.case import SIZE, saved

from octospoon.adapters.imaging.decode import decode
from octospoon.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="files")
def pictures(tmp_path: Path) -> dict[str, Path]:
    made = {
        "good.jpg": jpeg.plain(),
        "turned.jpg": jpeg.turned(6),
        "cut.jpg": jpeg.plain()[:-100],
        "text.txt": b"milk, eggs",
        "wide.png": saved(Image.new("L", (60_000, 1)), "PNG"),
        "twelve.png": png.written(png.levels("L").astype(np.uint16) << 4, 16, png.GREY),
    }
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in made}


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, object]]]:
    status = main(["picture", *map(str, arguments)])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_good_file_is_ok_with_its_size(files, capsys) -> None:
    status, (line,) = answered(capsys, files["good.jpg"])

    assert status == 0
    assert line == {"file": str(files["good.jpg"]), "ok": True, "reason": "", "detail": "", "source": [*SIZE]}


def test_each_refused_file_has_a_reason_and_others_continue(files, tmp_path, capsys) -> None:
    missing, folder = tmp_path / "missing.jpg", tmp_path
    status, lines = answered(
        capsys, files["cut.jpg"], missing, folder, files["text.txt"], files["wide.png"], files["good.jpg"]
    )

    assert status == 1
    assert [(line["ok"], line["reason"]) for line in lines] == [
        (False, "truncated"),
        (False, "unreadable"),
        (False, "unreadable"),
        (False, "not-an-image"),
        (False, "too-narrow"),
        (True, ""),
    ]
    assert lines[0]["source"] == [*SIZE]
    assert all(line["detail"] for line in lines[:-1])
    assert lines[1]["detail"] == "No such file or directory"


def test_size_is_of_the_upright_picture_and_notes_are_given(files, capsys) -> None:
    _, (turned, twelve) = answered(capsys, files["turned.jpg"], files["twelve.png"])

    assert turned["source"] == [*SIZE]
    assert (twelve["ok"], "12-bit" in str(twelve["detail"])) == (True, True)


@pytest.mark.parametrize("resize", ["squash", "cover"])
def test_the_pixels_are_those_that_scoring_and_training_decode(files, tmp_path, capsys, resize) -> None:
    out = tmp_path / "new" / "folder"
    answered(capsys, files["good.jpg"], "--height", 30, "--width", 50, "--resize", resize, "--to", out)

    expected = decode(files["good.jpg"].read_bytes(), 30, 50, resize)
    assert np.array_equal(np.asarray(Image.open(out / "good.png")), expected)


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path, capsys) -> None:
    inputs = [tmp_path / name for name in ("a/x.png", "b/x.png", "c/x.png", "d/x.jpg")]
    for number, path in enumerate(inputs):
        path.parent.mkdir()
        path.write_bytes(saved(Image.new("L", (9, 9), 50 * number), path.suffix[1:].replace("jpg", "jpeg")))
    status, lines = answered(capsys, *inputs, "--to", tmp_path / "out")

    assert status == 1
    assert [line["reason"] for line in lines] == ["", "", "not-written", ""]
    written = {path.name: Image.open(path).getpixel((0, 0))[0] for path in (tmp_path / "out").iterdir()}
    assert written == {"x.png": 0, "x.png.png": 50, "x.jpg.png": 150}


def test_a_file_is_never_overwritten_by_its_own_pixels(files, tmp_path, capsys) -> None:
    before = files["twelve.png"].read_bytes()
    status, _ = answered(capsys, files["twelve.png"], "--to", tmp_path)

    assert status == 0
    assert files["twelve.png"].read_bytes() == before
    assert (tmp_path / "twelve.png.png").exists()


@pytest.mark.parametrize("wrong", [("--resize", "stretch"), ("--height", "many")])
def test_options_are_checked(files, wrong) -> None:
    assert main(["picture", str(files["good.jpg"]), *wrong]) == 2


def test_a_size_or_folder_that_cannot_be_is_an_error(files, capsys) -> None:
    assert answered(capsys, files["good.jpg"], "--height", 0) == (1, [])
    assert answered(capsys, files["good.jpg"], "--to", files["text.txt"] / "below") == (1, [])
