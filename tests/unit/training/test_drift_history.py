from __future__ import annotations

import csv
from dataclasses import replace

from PIL import Image

from octospoon.domain.evaluation.estimators import Estimate
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import ObservedDay
from octospoon.training.report import drift_history

CALM = DriftResult(Level.NONE, 500, 0.4, 0.5, 0.6)
DRIFTED = DriftResult(Level.CONFIRMED, 480, 0.0, 0.5, 0.6, 0.005)
GOOD, BAD = Estimate(0.9, 0.85, 0.93, 60), Estimate(0.8, 0.74, 0.85, 70)
DAYS = [
    ObservedDay("2026-01-30", 3, GOOD, CALM),
    ObservedDay("2026-01-31", 3, BAD, DRIFTED),
    ObservedDay("2026-02-01", 4, GOOD, None),
]


def test_where_nothing_was_watched_nothing_is_written(tmp_path):
    drift_history.write(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_the_table_holds_each_day(tmp_path):
    drift_history.write(tmp_path, DAYS)
    with (tmp_path / "drift.csv").open(newline="") as file:
        first, second, third = csv.DictReader(file)
    assert (first["drift"], first["discrepancy_p"], first["accuracy_low"]) == ("none", "", "0.85")
    assert (second["drift"], second["images"], second["components_p"]) == ("confirmed", "480", "0")
    assert (second["discrepancy_p"], second["audit_labels"]) == ("0.005", "70")
    assert (third["version"], third["drift"], third["accuracy"]) == ("4", "", "0.9")


def drawn(folder, days) -> tuple[int, int]:
    """Return the image's height, and how many of its pixels are red."""
    folder.mkdir()
    drift_history.write(folder, days)
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
    drift_history.write(tmp_path, DAYS[2:])
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")
