from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.classification import metrics
from octospoon.training.head import logistic
from octospoon.training.head.fit import FOLDS, HELD_OUT, fit_head


def blobs(n: int, classes: int = 4, dim: int = 30, spread: float = 1.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, dim))
    labels = rng.integers(0, classes, n)
    return (centres[labels] + spread * rng.standard_normal((n, dim))).astype(np.float32), labels


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("inverse", [0.1, 10.0, 300.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_fit_agrees_with_scikit_learn(inverse, classes, balanced):
    points, labels = blobs(80, classes, spread=2.0)
    points = points.astype(np.float64) / 6
    labels[:40] = 0
    ours = logistic.fit(points, labels, classes, inverse, balanced=balanced)
    peer = LogisticRegression(
        C=inverse * (1 if classes > 2 else 2),  # with two classes it has one slope where ours has two
        class_weight="balanced" if balanced else None,
        tol=1e-8,
        max_iter=9999,
    ).fit(points, labels)
    theirs = peer.predict_proba(points)
    assert np.allclose(softmax(ours.logits(points), axis=1), theirs, atol=2e-3)


def test_a_warm_start_ends_at_the_same_place():
    points, labels = blobs(60)
    points = points.astype(np.float64) / 5
    start = logistic.fit(points, labels, 4, 1.0)
    warm = logistic.fit(points, labels, 4, 30.0, start=start).logits(points)
    cold = logistic.fit(points, labels, 4, 30.0).logits(points)
    assert np.allclose(softmax(warm, axis=1), softmax(cold, axis=1), atol=2e-3)


def test_it_learns_and_is_calibrated():
    points, labels = blobs(400, spread=2.5)
    fitted = fit_head(points, labels, 4)
    others, truth = blobs(4000, spread=2.5, seed=1)
    answers = softmax(fitted.logits(others), axis=1)
    assert metrics.accuracy(answers, truth) > 0.7
    assert metrics.reliability(answers, truth).expected_calibration_error() < 0.05
    held_out = metrics.accuracy(fitted.out_of_fold, labels)
    assert held_out == pytest.approx(metrics.accuracy(answers, truth), abs=0.06)


def test_held_out_answers_know_nothing_of_their_own_labels():
    held_out = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        points, labels = rng.standard_normal((200, 300)).astype(np.float32), rng.integers(0, 2, 200)
        fitted = fit_head(points, labels, 2)
        assert metrics.accuracy(fitted.logits(points), labels) > 0.9
        assert metrics.log_loss(fitted.out_of_fold, labels) < 0.75
        held_out.append(metrics.accuracy(fitted.out_of_fold, labels))
    assert abs(np.mean(held_out) - 0.5) < 0.06


def test_the_same_labels_give_the_same_bytes():
    points, labels = blobs(90)
    first, second = (fit_head(points, labels, 4) for _ in range(2))
    assert first.weights.tobytes() + first.bias.tobytes() == second.weights.tobytes() + second.bias.tobytes()


def test_scale_and_location_of_embeddings_do_not_matter():
    points, labels = blobs(120)
    near = fit_head(points, labels, 4).logits(points)
    far = fit_head(points * 1000 + 5000, labels, 4).logits(points * 1000 + 5000)
    assert np.allclose(softmax(near, axis=1), softmax(far, axis=1), atol=0.02)


def test_unseen_classes_stay_possible_and_improbable():
    points, labels = blobs(60, classes=3)
    fitted = fit_head(points, labels * 2, 7)
    answers = softmax(fitted.logits(points), axis=1)
    assert fitted.weights.shape == (30, 7)
    assert np.isfinite(fitted.logits(points)).all()
    assert answers[:, [1, 3, 5, 6]].max() < 0.05
    assert metrics.accuracy(answers, labels * 2) > 0.95


@pytest.mark.parametrize("count", [1, 5])
def test_a_single_class_gives_its_frequency(count):
    fitted = fit_head(np.ones((count, 4), np.float32), np.full(count, 2), 3)
    answers = softmax(fitted.logits(np.zeros((1, 4))), axis=1)[0]
    assert answers == pytest.approx([1 / (count + 3)] * 2 + [(count + 1) / (count + 3)])


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 0, 1], [0, 1, 2, 3]])
def test_very_few_labels_are_enough(labels):
    points, _ = blobs(len(labels))
    fitted = fit_head(points, np.array(labels), 4)
    assert np.isfinite(fitted.logits(points)).all()


def test_equal_points_are_borne():
    fitted = fit_head(np.ones((6, 3), np.float32), np.array([0, 0, 0, 0, 1, 1]), 2)
    assert np.isfinite(fitted.logits(np.ones((1, 3)))).all()


def test_class_weights_help_the_rare_class():
    points, labels = blobs(600, classes=2, spread=6.0)
    chosen = np.flatnonzero((labels == 0) | (np.arange(600) % 12 == 0))
    others, truth = blobs(2000, classes=2, spread=6.0, seed=5)
    recalls = [
        metrics.recall(
            metrics.confusion(
                fit_head(points[chosen], labels[chosen], 2, balanced=balanced).logits(others), truth
            )
        )[1]
        for balanced in (False, True)
    ]
    assert recalls[1] > recalls[0] + 0.1


def test_no_label_at_all_is_refused():
    with pytest.raises(BadRequest, match="no label to train on"):
        fit_head(np.empty((0, 4), np.float32), np.empty(0, np.int64), 3)


def test_of_many_labels_only_some_are_held_out():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 2600)
    points = np.eye(3)[labels] * 2 + rng.standard_normal((2600, 3))
    head = fit_head(points, labels, 3)
    known = np.isfinite(head.out_of_fold).all(axis=1)
    assert HELD_OUT <= known.sum() <= HELD_OUT + 2600 // FOLDS
    assert np.mean(head.out_of_fold[known].argmax(axis=1) == labels[known]) > 0.8
    again = fit_head(points, labels, 3)
    assert np.array_equal(head.weights, again.weights)
    assert np.array_equal(head.bias, again.bias)
