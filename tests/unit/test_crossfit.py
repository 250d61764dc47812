from __future__ import annotations

import json

import numpy as np
import pytest
from bench import crossfit

from octospoon.training.simulation import Labelled


@pytest.fixture(name="data", scope="module")
def blobs() -> Labelled:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 700)
    points = rng.standard_normal((3, 10))[labels] + 0.8 * rng.standard_normal((700, 10))
    return Labelled(points.astype(np.float32), labels, 3)


def test_challengers_are_spoiled_as_their_names_say():
    labels, rng = np.repeat([0, 1, 2], [500, 300, 200]), np.random.default_rng(0)
    given = {kind: crossfit.spoiled(kind, labels, 3, rng) for kind in crossfit.KINDS}
    assert (given["good"] == labels).all()
    assert np.bincount(given["shuffled"]).tolist() == [500, 300, 200]
    assert np.mean(given["shuffled"] == labels) < 0.5
    assert np.bincount(given["missing class"], minlength=3).tolist() == [0, 800, 200]
    assert np.bincount(given["swapped"]).tolist() == [300, 500, 200]
    assert np.mean(given["five points worse"] != labels) == pytest.approx(crossfit.WORSE, abs=0.03)


def test_gate_refuses_shuffled_challengers_and_lets_good_ones_pass(data):
    refused = crossfit.refusals(data, 0)
    assert refused["good"] == [False, False]
    assert refused["shuffled"] == refused["missing class"] == [True, True]


def test_audit_labels_add_to_training(data, monkeypatch):
    monkeypatch.setattr(crossfit, "GAINED", (30, 600))
    pairs = [crossfit.gain(data, seed) for seed in range(3)]
    assert set(pairs[0]) == {"30"}, "too few images are left to measure on"
    assert np.mean([served - without for without, served in (pair["30"] for pair in pairs)]) > 0


def test_intervals_are_compared_with_the_images_that_are_left(data, monkeypatch, capsys):
    monkeypatch.setattr(crossfit, "AUDITS", (20, 40))
    found = crossfit.coverage(data, 0)
    value, low, high, truth = found["audit_accuracy 40"]
    assert low <= value <= high
    assert abs(value - truth) < 0.2
    stored = {f"coverage blobs {seed}": found for seed in range(20)}
    assert crossfit.report(stored | {"time": [1, 2, 3, 4]}) == 1, "always or never inside is no coverage"
    shown = capsys.readouterr().out
    assert "| blobs | audit_accuracy | 40 | 20 | " in shown
    assert json.dumps(stored), "results are stored as JSON"
