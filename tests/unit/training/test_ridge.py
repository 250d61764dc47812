from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import Ridge

from octospoon.training.head.calibration import scale_and_offsets, scales, smoothed
from octospoon.training.head.ridge import Problem

PARTS = (4, 6)


def problem(count: int, seed: int = 0, *, weighted: bool = True):
    rng = np.random.default_rng(seed)
    points, labels = rng.standard_normal((count, 10)) * np.arange(1, 11) + 3, rng.integers(0, 3, count)
    weights = rng.uniform(0.5, 2, count) if weighted else np.ones(count)
    return points, np.eye(3)[labels], weights


def by_refitting(points, targets, weights, unit, strength, left):
    """Return what scikit-learn predicts for a row from all other rows."""
    kept = np.arange(len(points)) != left
    model = Ridge(alpha=strength, solver="cholesky", tol=1e-12)
    model.fit(points[kept] / unit, targets[kept], sample_weight=weights[kept] / weights.mean())
    return model.predict(points[left : left + 1] / unit)[0]


@pytest.mark.parametrize("count", [7, 25])
def test_leave_one_out_predictions_are_those_of_a_refit(count):
    points, targets, weights = problem(count)
    made = Problem.of(points, targets, PARTS, weights)
    kernels = made.kernels(PARTS)
    shares, strengths = np.array([0.8, 0.2]), np.array([0.01, 1.0, 30.0])
    factors = np.repeat(np.sqrt(shares), PARTS)
    at_once = made.left_out(shares[0] * kernels[0] + shares[1] * kernels[1], strengths)
    for at, strength in enumerate(strengths):
        expected = [
            by_refitting(points, targets, weights, made.unit / factors, strength, left)
            for left in range(count)
        ]
        assert np.allclose(at_once[at], expected, atol=1e-8)
        judged = np.array([1, 4, 6])
        slope, some = made.solve(factors, strength, judged)
        assert np.allclose(some, np.array(expected)[judged], atol=1e-8)
        model = Ridge(alpha=strength, solver="cholesky").fit(
            points * factors / made.unit, targets, sample_weight=weights / weights.mean()
        )
        ours = made.average + (points - made.mean) @ slope
        assert np.allclose(ours, model.predict(points * factors / made.unit), atol=1e-8)


def test_each_part_has_the_same_size():
    points, targets, weights = problem(30)
    kernels = Problem.of(points, targets, PARTS, weights).kernels(PARTS)
    assert [np.trace(kernel) / 30 for kernel in kernels] == pytest.approx([1, 1])


def test_scales_of_many_models_are_those_of_a_search():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 60)
    predictions = np.stack(
        [
            size * (np.eye(4)[labels] + noise * rng.standard_normal((60, 4)))
            for size, noise in ((1, 0.1), (1, 0.5), (1, 2.0), (30, 0.5), (0.02, 0.5))
        ]
    )
    targets = smoothed(labels, 4, 60)
    found, losses = scales(predictions, targets, 60)
    for at, model in enumerate(predictions):
        near = np.concatenate([found[at] * np.linspace(0.9, 1.1, 5), np.geomspace(0.05, 500, 400)])
        tried = [
            -np.vdot(targets, log_softmax(scale * model, axis=1)) / 60 + 2.0 * np.log(scale / 5.0) ** 2 / 120
            for scale in near
        ]
        assert losses[at] == pytest.approx(tried[2])
        assert losses[at] <= min(tried) + 1e-6


def test_offsets_bring_each_class_to_its_share():
    rng = np.random.default_rng(2)
    labels = (rng.random(400) < 0.1).astype(np.int64)
    predictions = np.eye(2)[labels] + rng.standard_normal((400, 2))
    scale, offsets = scale_and_offsets(predictions, smoothed(labels, 2, 400), 400, 1.0)
    logits = scale * predictions + offsets
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert chances.mean(axis=0) == pytest.approx([0.9, 0.1], abs=0.03)
    assert offsets[0] > offsets[1]
