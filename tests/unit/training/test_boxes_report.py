"""The files that show how good a detector is."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.images import FakeImages
from PIL import Image
from unit.training.test_coco import answers, sample

from octospoon.cli.datasets import digits
from octospoon.domain.evaluation.gate import Rules
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.training.evaluation.gate import judge
from octospoon.training.report.boxes import RIGHT, TRUE, WRONG, mistakes
from octospoon.training.report.contact_sheet import Frame, Thumbnails, draw
from octospoon.training.report.files import write_files

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("cat", "dog", "owl")
CAT, DOG = Box("cat", 0.0, 0.0, 0.5, 0.5), Box("dog", 0.5, 0.5, 1.0, 1.0)


def image(key: str, *boxes: Box) -> LabelledImage:
    return LabelledImage(key, "e", Boxes().write(boxes), 1.0, 1, False, "margin", None, 1)


def detected(*found: tuple[Box, float]) -> np.ndarray:
    rows = np.zeros((2, 7), np.float32)
    for row, (box, score) in zip(rows, found, strict=False):
        row[:4], row[4 + CLASSES.index(box.name)] = box[1:], score
    return rows


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_files_have_the_figures_of_the_evaluation(tmp_path: Path) -> None:
    predictions, targets = sample(2)
    judged = judge(
        DETECTION.evaluator, answers(predictions, 2), answers(predictions, 1), targets, None, Rules()
    )
    images = [image(f"{number}.png", CAT) for number in range(len(targets))]

    write_files(tmp_path, CLASSES, images, targets, judged, DETECTION.name)

    measured = json.loads((tmp_path / "evaluation.json").read_text())
    rows = table(tmp_path / "classes.csv")
    assert [row["class"] for row in rows] == list(CLASSES)
    assert [int(row["audit_objects"]) for row in rows] == [(targets[..., 4] == at).sum() for at in range(3)]
    for row, ap50, whole in zip(
        rows, measured["class_ap50"], measured["class_average_precision"], strict=True
    ):
        assert float(row["ap50"]) == pytest.approx(ap50["value"], abs=1e-4)
        assert float(row["ap50_95_low"]) == pytest.approx(whole["low"], abs=1e-4)
    curve = table(tmp_path / "precision_recall.csv")
    assert len(curve) == 101
    for name, ap50 in zip(CLASSES, measured["class_ap50"], strict=True):
        precision = [float(row[name]) for row in curve]
        assert np.mean(precision) == pytest.approx(ap50["value"], abs=1e-4)
        assert precision == sorted(precision, reverse=True)
    with Image.open(tmp_path / "evaluation.png") as plot:
        assert len(np.unique(np.asarray(plot).reshape(-1, 4), axis=0)) > 20


def test_mistakes_come_first_with_their_boxes() -> None:
    images = [image("right.png", CAT), image("wrong.png", CAT, DOG), image("none.png")]
    targets = DETECTION.evaluator.targets([each.label for each in images], CLASSES)
    false = DOG._replace(name="owl")
    rows = np.stack([detected((CAT, 0.9)), detected((false, 0.8), (CAT, 0.6)), detected((DOG, 0.1))])

    first, second, third = mistakes(CLASSES, images, targets, rows)

    assert (first.key, first.marked) == ("wrong.png", True)
    assert first.lines == ("label 1 × cat, 1 × dog", "predicted 1 × cat, 1 × owl", "1 missed, 1 false")
    assert first.frames == (
        *(Frame(box[1:], TRUE) for box in (CAT, DOG)),
        Frame(DOG[1:], WRONG),
        Frame(CAT[1:], RIGHT),
    )
    assert (second.key, second.marked, second.frames) == ("none.png", False, ())
    assert (third.lines[1], third.lines[2]) == ("predicted 1 × cat", "0 missed, 0 false")


def test_boxes_are_drawn_where_they_are(tmp_path: Path) -> None:
    store = FakeImages()
    store.objects["a.png"] = (digits.png_bytes(0), "e")
    targets = DETECTION.evaluator.targets([Boxes().write((CAT,))], CLASSES)
    tiles = mistakes(CLASSES, [image("a.png", CAT)], targets, detected((DOG, 0.9))[np.newaxis])

    draw(tmp_path / "sheet.png", "audit share", tiles, Thumbnails(store, "cover"))

    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    left, top = 10, 35
    missed, false = ([int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (TRUE, WRONG))
    assert pixels[top + 79, left + 40].tolist() == missed, "the lower edge of the true box"
    assert pixels[top + 80, left + 120].tolist() == false, "the upper edge of the predicted box"
