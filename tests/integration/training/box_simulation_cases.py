"""Simulated labelling with real detectors: test_detector.py runs this in the environment with PyTorch."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from integration.training.detector_cases import HEIGHT, UPLOADED, WIDTH
from rich.console import Console
from unit.training.rectangles import CLASSES, drawn
from unit.training.strided import strided

from octospoon.cli.datasets import boxed
from octospoon.cli.operations import simulate as classes
from octospoon.cli.operations import simulate_boxes
from octospoon.cli.operations.simulation_boxes import BoxSimulation
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.training.detector import replay
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.replay import Replay, Rounds
from octospoon.training.model import model_file
from octospoon.training.model.optimize import cold_start

IMAGES = 90
FAST = DetectorOptions(epochs=1, least_steps=60, batch_size=4, views=2, learning_rate=0.004)
SHORT = msgspec.structs.replace(FAST, least_steps=12)
ROUNDS = Rounds((12, 24, 48), (), 0.2)


@pytest.fixture(scope="module", name="folder")
def yolo(tmp_path_factory):
    """Write images of rectangles in YOLO's layout."""
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    rng = np.random.default_rng(5)
    for i in range(IMAGES):
        data, label = drawn(rng, UPLOADED)
        (folder / f"images/{i:03d}.png").write_bytes(data)
        lines = [
            f"{CLASSES.index(b.name)} {(b.x1 + b.x2) / 2} {(b.y1 + b.y2) / 2} {b.x2 - b.x1} {b.y2 - b.y1}"
            for b in Boxes().read(label)
        ]
        (folder / f"labels/{i:03d}.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module", name="model")
def backbone_file() -> bytes:
    return cold_start(strided(HEIGHT, WIDTH), "letterbox")


def prepared(folder, model, scratch):
    images, pixels, regions = boxed.pixels(boxed.read(folder), model_file.read_spec(model), scratch)
    backbone = model_file.extract_backbone(model)
    return replay.prepare(backbone, pixels, regions, images.truth, images.classes, FAST, scratch)


def test_a_replay_learns_and_repeats_itself(folder, model, tmp_path):
    images = prepared(folder, model, tmp_path)
    done: list[None] = []
    order, held_out = np.arange(60), np.arange(60, IMAGES)

    def curves(rounds: Rounds):
        return Replay(images, order, held_out, rounds, FAST, 1, lambda: done.append(None)).curves(["sum"])

    first = curves(replace(ROUNDS, further=(60,)))

    assert [point.images for point in first["random"]] == [12, 24, 48, 60]
    assert [point.images for point in first["sum"]] == [12, 24, 48]
    assert first["random"][0] == first["sum"][0]
    assert max(point.ap50 for point in first["random"]) > 0.2
    assert len(done) == replace(ROUNDS, further=(60,)).detectors(1) == 6
    assert first["random"][-1].boxes == images.boxes(order)
    again = curves(replace(ROUNDS, stops=(12, 24)))
    assert again == {name: points[:2] for name, points in first.items()}


def test_the_whole_report_is_written(folder, model, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(classes, "local_project", lambda: None)
    console = Console(record=True, width=200, file=io.StringIO())
    simulation = BoxSimulation(("sum",), 2, Rounds((12, 24), (), 0.2), 2, tmp_path / "out", 0.99, SHORT)

    report = simulate_boxes.simulate(boxed.read(folder), ("strided", model), simulation, console)

    progress = " ".join(capsys.readouterr().err.split())
    assert "8 detectors are trained on feature maps of 90 images, in 2 processes: about " in progress
    assert "1 of 8 detectors are trained" in progress or "2 of 8 detectors are trained" in progress
    assert "8 of 8 detectors are trained" in progress
    document = json.loads((tmp_path / "out/simulation.json").read_text())
    assert list(document["strategies"]) == ["random", "sum"]
    assert (document["metric"], document["held_out"], document["images"]) == ("AP50", 30, IMAGES)
    rows = list(csv.DictReader((tmp_path / "out/curves.csv").read_text().splitlines()))
    assert [row["images"] for row in rows if row["strategy"] == "random" and row["seed"] == "1"] == [
        "12",
        "24",
        "48",
    ]
    page = (tmp_path / "out/report.html").read_text()
    assert report.sentence.split(":")[0] in page
    assert "lead at equal boxes" in page
    assert "is not shown to be reached within 24 images" in console.export_text()
