from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_score, recall_score
from sklearn.metrics import log_loss as sklearn_log_loss

from octospoon.domain.evaluation import metrics as intervals
from octospoon.domain.task_types.classification import metrics


@pytest.fixture(name="answers")
def made():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(5, 0.5), 400), rng.integers(0, 5, 400)


def test_the_measures_agree_with_scikit_learn(answers):
    probabilities, labels = answers
    guesses = probabilities.argmax(axis=1)
    matrix = metrics.confusion(probabilities, labels)
    assert np.array_equal(matrix, confusion_matrix(labels, guesses))
    assert metrics.accuracy(probabilities, labels) == accuracy_score(labels, guesses)
    assert np.allclose(metrics.recall(matrix), recall_score(labels, guesses, average=None))
    assert np.allclose(metrics.precision(matrix), precision_score(labels, guesses, average=None))
    assert metrics.log_loss(probabilities, labels) == pytest.approx(sklearn_log_loss(labels, probabilities))


def test_an_absent_class_has_no_recall():
    matrix = metrics.confusion(np.eye(3)[[0, 1, 1]], np.array([0, 1, 0]))
    assert metrics.recall(matrix)[:2].tolist() == [0.5, 1.0]
    assert np.isnan(metrics.recall(matrix)[2])


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_wilsons_interval_against_published_values(correct, n, low, high):
    interval = intervals.wilson(correct, n)  # the third: Newcombe 1998, table I
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_calibration_error_of_a_calibrated_and_of_an_overconfident_model():
    rng = np.random.default_rng(0)
    share = rng.uniform(0.5, 1.0, 20_000)
    labels = (rng.uniform(size=20_000) > share).astype(np.int64)
    honest = np.stack([share, 1 - share], axis=1)
    assert metrics.reliability(honest, labels).expected_calibration_error() < 0.02
    bold = np.stack([np.full(20_000, 0.999), np.full(20_000, 0.001)], axis=1)
    error = metrics.reliability(bold, labels).expected_calibration_error()
    assert error == pytest.approx(0.999 - np.mean(labels == 0), abs=1e-6)


def test_measures_of_nothing_are_nan():
    nothing, none = np.empty((0, 3)), np.empty(0, np.int64)
    assert np.isnan(metrics.accuracy(nothing, none))
    assert np.isnan(metrics.log_loss(nothing, none))
    assert np.isnan(metrics.reliability(nothing, none).expected_calibration_error())


@pytest.mark.parametrize("n", [20, 60])
def test_the_paired_interval_covers_the_true_difference(n):
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        cell = rng.choice(4, n, p=[0.7, 0.15, 0.05, 0.1])
        interval = intervals.paired_difference((cell == 0) | (cell == 1), (cell == 0) | (cell == 2))
        covered += interval.low <= 0.1 <= interval.high
    assert 0.93 <= covered / 2000 <= 0.99
