from __future__ import annotations

import csv
from dataclasses import replace

from PIL import Image

from octospoon.domain.evaluation.estimators import Estimate
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import ObservedDay
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.training.report import drift_history

EVALUATOR = CLASSIFICATION.evaluator

CALM = DriftResult(Level.NONE, 500, 0.4, 0.5, 0.6)
DRIFTED = DriftResult(Level.CONFIRMED, 480, 0.0, 0.5, 0.6, 0.005)
GOOD, BAD = Estimate(0.9, 0.85, 0.93, 60), Estimate(0.8, 0.74, 0.85, 70)
DAYS = [
    ObservedDay("2026-01-30", 3, GOOD, CALM),
    ObservedDay("2026-01-31", 3, BAD, DRIFTED),
    ObservedDay("2026-02-01", 4, GOOD, None),
]


def test_where_nothing_was_watched_nothing_is_written(tmp_path):
    drift_history.write(tmp_path, [], EVALUATOR)
    assert list(tmp_path.iterdir()) == []


def test_the_table_holds_each_day(tmp_path):
    drift_history.write(tmp_path, DAYS, EVALUATOR)
    with (tmp_path / "drift.csv").open(newline="") as file:
        first, second, third = csv.DictReader(file)
    assert (first["drift"], first["discrepancy_p"], first["accuracy_low"]) == ("none", "", "0.85")
    assert (second["drift"], second["images"], second["components_p"]) == ("confirmed", "480", "0")
    assert (second["discrepancy_p"], second["audit_labels"]) == ("0.005", "70")
    assert (third["version"], third["drift"], third["accuracy"]) == ("4", "", "0.9")


def drawn(folder, days) -> tuple[int, int]:
    """Return the image's height, and how many of its pixels are red."""
    folder.mkdir()
    drift_history.write(folder, days, EVALUATOR)
    with Image.open(folder / "drift.png") as image:
        colours = image.convert("RGB").getcolors(image.width * image.height)
        return image.height, {colour: count for count, colour in colours}[RED]


RED = (0xD6, 0x27, 0x28)


def test_the_image_shows_tests_accuracy_and_what_was_confirmed(tmp_path):
    height, red = drawn(tmp_path / "all", DAYS)
    lower, less = drawn(tmp_path / "calm", [replace(DAYS[0], accuracy=None)])
    assert red > less + 100, "markers, and not the threshold alone"
    assert lower < 0.6 * height, "a panel less"


def test_accuracy_alone_is_an_image(tmp_path):
    drift_history.write(tmp_path, DAYS[2:], EVALUATOR)
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")


def test_columns_have_the_name_of_the_metric(tmp_path):
    drift_history.write(tmp_path, DAYS, MULTILABEL.evaluator)
    with (tmp_path / "drift.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["macro_f1"], first["macro_f1_low"], first["macro_f1_high"]) == ("0.9", "0.85", "0.93")
    assert "accuracy" not in first
