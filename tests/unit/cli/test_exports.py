"""Exports of labels and predictions, over the in-memory pool."""

from __future__ import annotations

import csv
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from fakes.images import FakeImages
from fakes.models import FakeChampions
from fakes.world import FakeWorld
from pyarrow import parquet

from octospoon.cli.operations import export_predictions, exports
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.task_types.classification import CLASSIFICATION

CLASSES = ("cat", "dog")


def content(key: str) -> bytes:
    return f"bytes of {key}".encode()


def etag(key: str) -> str:
    return hashlib.md5(content(key), usedforsecurity=False).hexdigest()


def score(world: FakeWorld, key: str, probabilities: list[float] | None) -> None:
    outputs = None if probabilities is None else np.array(probabilities, np.float32)
    prediction = Prediction(3 if outputs is not None else 0, "b" * 64, np.zeros(4, np.float32), outputs)
    world.pool.put_score(ImageRef(key, etag(key), "1", 1), prediction)


def label(world: FakeWorld, key: str, name: str, pick: Pick) -> None:
    score(world, key, [0.9, 0.1])
    world.pool.claim(pick, 2, 0.0)
    world.pool.mark_exported(key, 2, 7)
    world.resolve(key, Consensus(name, 1.0, 2))


@pytest.fixture
def deployment() -> SimpleNamespace:
    world = FakeWorld()
    label(world, "cat/a.jpg", "cat", Pick("cat/a.jpg", etag("cat/a.jpg"), True, "random", None, 0, 0.25))
    label(world, "b c,d.jpg", "dog", Pick("b c,d.jpg", etag("b c,d.jpg"), False, "margin", 0.5, 1, None))
    score(world, "open.jpg", [0.25, 0.75])
    score(world, "cold.jpg", None)
    champions = FakeChampions(versions={3: ChampionPointer.of(3, "b" * 64, "m" * 64, "h" * 64, CLASSES)})
    images = FakeImages({key: (content(key), etag(key)) for key in ("cat/a.jpg", "b c,d.jpg")})
    return SimpleNamespace(
        task_type=CLASSIFICATION,
        pool_report=world.pool,
        champions=champions,
        images=images,
        outputs={"ImagesBucket": "images"},
        class_record=lambda: SimpleNamespace(read=ClassHistory),
    )


def test_csv_says_how_each_image_was_drawn(deployment, tmp_path) -> None:
    result = exports.labels(deployment, tmp_path / "labels.csv")

    rows = list(csv.DictReader((tmp_path / "labels.csv").read_text().splitlines()))
    assert (result.rows, result.format) == (2, "csv")
    assert [row["key"] for row in rows] == ["b c,d.jpg", "cat/a.jpg"]
    assert rows[1] | {"uploaded": ""} == {
        "key": "cat/a.jpg",
        "label": "cat",
        "source": "people",
        "selection": "audit",
        "strategy": "random",
        "round": "2",
        "draw_probability": "0.25",
        "annotators": "2",
        "agreement": "1",
        "uploaded": "",
        "etag": etag("cat/a.jpg"),
    }
    assert (rows[0]["selection"], rows[0]["strategy"], rows[0]["draw_probability"]) == (
        "strategy",
        "margin",
        "",
    )


def test_coco_file_has_a_category_for_each_image(deployment, tmp_path) -> None:
    exports.labels(deployment, tmp_path / "coco.json", "coco")

    data = json.loads((tmp_path / "coco.json").read_text())
    names = {category["id"]: category["name"] for category in data["categories"]}
    files = {image["id"]: image["file_name"] for image in data["images"]}
    assert {
        files[annotation["image_id"]]: names[annotation["category_id"]] for annotation in data["annotations"]
    } == {
        "b c,d.jpg": "dog",
        "cat/a.jpg": "cat",
    }
    assert data["annotations"][1]["attributes"]["selection"] == "audit"


def test_tasks_for_label_studio_name_our_control(deployment, tmp_path) -> None:
    exports.labels(deployment, tmp_path / "tasks.json", "label-studio")

    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == ["s3://images/b c,d.jpg", "s3://images/cat/a.jpg"]
    assert [task["annotations"][0]["result"][0]["value"]["choices"] for task in tasks] == [["dog"], ["cat"]]
    assert tasks[1]["meta"]["selection"] == "audit"


def test_yolo_folders_hold_the_audit_share_as_validation(deployment, tmp_path) -> None:
    result = exports.labels(deployment, tmp_path / "out", "yolo")

    assert (tmp_path / "out/val/cat/a.jpg").read_bytes() == content("cat/a.jpg")
    assert (tmp_path / "out/train/dog/b c,d.jpg").read_bytes() == content("b c,d.jpg")
    rows = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    assert [(row["file"], row["key"]) for row in rows] == [
        ("train/dog/b c,d.jpg", "b c,d.jpg"),
        ("val/cat/a.jpg", "cat/a.jpg"),
    ]
    assert result.rows == 2


def test_images_that_cannot_be_had_are_counted(deployment, tmp_path) -> None:
    del deployment.images.objects["cat/a.jpg"]
    deployment.images.objects["b c,d.jpg"] = (b"others", "0" * 32)

    result = exports.labels(deployment, tmp_path / "out")

    assert (result.rows, result.left_out) == (0, {"changed since it was labelled": 1, "gone": 1})


def test_interrupted_folder_is_finished_by_another_run(deployment, tmp_path) -> None:
    (tmp_path / "out/cat").mkdir(parents=True)
    (tmp_path / "out/cat/a.jpg").write_bytes(b"half")

    assert exports.labels(deployment, tmp_path / "out").rows == 2
    assert (tmp_path / "out/cat/a.jpg").read_bytes() == content("cat/a.jpg")
    with pytest.raises(BadRequest, match=r"manifest\.jsonl is there already"):
        exports.labels(deployment, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "form", "reason"),
    [
        ("labels.json", "", "--format coco or --format label-studio"),
        ("labels.txt", "", "does not say the format"),
        ("labels.csv", "tsv", "there is no format tsv"),
        ("no/labels.csv", "", "there is no folder"),
    ],
)
def test_unclear_targets_are_refused_with_advice(deployment, tmp_path, name, form, reason) -> None:
    with pytest.raises(BadRequest, match=reason):
        exports.labels(deployment, tmp_path / name, form)


def test_failed_export_leaves_no_file(deployment, tmp_path) -> None:
    deployment.pool_report = SimpleNamespace(labelled=lambda: iter([None]))

    with pytest.raises(AttributeError):
        exports.labels(deployment, tmp_path / "labels.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_predictions_have_class_confidence_and_version(deployment, tmp_path, name) -> None:
    result = export_predictions.predictions(deployment, tmp_path / name)

    file = tmp_path / name
    rows = (
        parquet.read_table(file).to_pylist()
        if name.endswith("parquet")
        else list(csv.DictReader(file.read_text().splitlines()))
    )
    predictions = {row["key"]: row for row in rows}
    assert set(predictions) == {"cat/a.jpg", "b c,d.jpg", "open.jpg"}
    assert predictions["open.jpg"]["prediction"] == "dog"
    assert float(predictions["open.jpg"]["confidence"]) == 0.75
    assert int(predictions["open.jpg"]["model_version"]) == 3
    assert (predictions["open.jpg"]["label"] or "") == ""
    assert predictions["b c,d.jpg"]["label"] == "dog"
    assert result.left_out == {"scored before there was a trained model": 1}


def test_other_endings_of_predictions_are_refused(deployment, tmp_path) -> None:
    with pytest.raises(BadRequest, match=r"must end with \.csv or \.parquet"):
        export_predictions.predictions(deployment, tmp_path / "out.json")


def test_another_project_gets_the_present_names(deployment, tmp_path, monkeypatch) -> None:
    history = ClassHistory((*CLASSES, "owl")).rename("dog", "hound", 1.0).retire(["cat"], 2.0)
    deployment.class_record = lambda: SimpleNamespace(read=lambda: history)
    offered = {"hound": [{"value": {"choices": ["hound"]}}]}
    project = SimpleNamespace(result=offered.get, image="image")
    monkeypatch.setattr(exports, "other_project", lambda *_: project)

    result = exports.labels(deployment, tmp_path / "tasks.json", label_config=tmp_path / "interface.xml")

    assert (result.rows, result.left_out) == (1, {})
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["annotations"][0]["result"] == offered["hound"]
