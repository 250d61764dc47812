from __future__ import annotations

import numpy as np
import pytest

from octospoon.domain.evaluation import estimators
from octospoon.domain.task_types.classification import estimates, metrics

POOL, LABELS, REPEATS = 5_000, 100, 600


def population(kind: str):
    """Return bool [POOL], whether a model is right, and its confidence."""
    rng = np.random.default_rng(1)
    if kind == "informative":
        confidence = np.where(
            rng.uniform(size=POOL) < 0.7, rng.uniform(0.95, 1, POOL), rng.uniform(0.3, 1, POOL)
        )
        return rng.uniform(size=POOL) < confidence, confidence
    if kind == "nearly perfect":
        confidence = rng.beta(30, 0.6, POOL)
        return rng.uniform(size=POOL) < confidence, confidence
    if kind == "overconfident":
        truth = rng.uniform(0.5, 1, POOL)
        return rng.uniform(size=POOL) < truth, 1 - (1 - truth) / 4
    return rng.uniform(size=POOL) < 0.85, rng.uniform(0.5, 1.0, POOL)


KINDS = ["informative", "nearly perfect", "overconfident", "uninformative"]


@pytest.fixture(name="simulated", scope="module", params=KINDS)
def simulate(request):
    """Return kind, truth and float [REPEATS, 2, 3]: value, low and high of our and of the plain estimate."""
    right, confidence = population(request.param)
    rng, intervals = np.random.default_rng(2), []
    for _ in range(REPEATS):
        drawn = rng.integers(POOL, size=LABELS)
        ours = estimators.prediction_powered(right[drawn], confidence[drawn], confidence)
        plain = estimators.proportion(int(right[drawn].sum()), LABELS)
        intervals.append([(estimate.value, estimate.low, estimate.high) for estimate in (ours, plain)])
    return request.param, float(right.mean()), np.array(intervals)


def test_the_interval_covers_the_truth_as_often_as_it_says(simulated):
    _, truth, intervals = simulated
    covered = np.mean((intervals[:, 0, 1] <= truth) & (truth <= intervals[:, 0, 2]))
    assert 0.93 <= covered <= 0.975


def test_it_is_no_worse_than_the_audit_share_alone(simulated):
    kind, truth, intervals = simulated
    ours, plain = np.sqrt(np.mean((intervals[:, :, 0] - truth) ** 2, axis=0))
    assert ours <= plain * (1.02 if kind == "uninformative" else 1.0)
    if kind == "informative":
        assert ours <= 0.9 * plain


def test_it_is_without_bias(simulated):
    _, truth, intervals = simulated
    error = intervals[:, 0, 0] - truth
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(REPEATS)


def test_labels_that_are_all_right_narrow_nothing():
    estimate = estimators.prediction_powered(np.ones(9, bool), np.full(9, 0.9), np.full(50, 0.8))
    assert estimate == estimators.proportion(9, 9)
    rng = np.random.default_rng(0)
    estimate = estimators.prediction_powered(
        np.ones(90, bool), rng.uniform(0.7, 1, 90), rng.uniform(0.5, 1, 900)
    )
    assert 0.95 < estimate.value < estimate.high == pytest.approx(1.0)
    assert estimate.low < estimators.proportion(90, 90).low


def test_every_measure_is_estimated():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    probabilities = rng.dirichlet(np.full(3, 0.3), 300) * 0.9 + np.eye(3)[labels] * 0.1
    evaluation = estimates.evaluate(probabilities, labels, probabilities[:200].max(axis=1))
    assert evaluation.accuracy != evaluation.audit_accuracy
    assert evaluation.log_loss.value == metrics.log_loss(probabilities, labels)
    for estimate in (evaluation.accuracy, evaluation.log_loss, evaluation.overconfidence, *evaluation.recall):
        assert estimate.low < estimate.value < estimate.high
    assert sum(estimate.labels for estimate in evaluation.recall) == evaluation.accuracy.labels == 300
    assert evaluation.metrics()["accuracy_low"] == evaluation.accuracy.low
    assert estimates.evaluate(probabilities, labels).accuracy == evaluation.audit_accuracy


def test_without_labels_nothing_is_known():
    evaluation = estimates.evaluate(np.empty((0, 3)), np.empty(0, np.int64), np.full(9, 1 / 3))
    assert np.isnan(evaluation.accuracy.value)
    assert (evaluation.accuracy.low, evaluation.accuracy.high) == (0.0, 1.0)
    assert evaluation.metrics() == {
        "accuracy_low": 0.0,
        "accuracy_high": 1.0,
        "audit_accuracy_low": 0.0,
        "audit_accuracy_high": 1.0,
    }


def test_the_bootstrap_covers_a_mean():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        labels = (rng.uniform(size=120) < 0.2).astype(np.int64)
        interval = estimators.bootstrap(metrics.log_loss, np.tile([0.8, 0.2], (120, 1)), labels)
        covered += interval.low <= -0.8 * np.log(0.8) - 0.2 * np.log(0.2) <= interval.high
    assert 0.9 <= covered / 200 <= 0.99
