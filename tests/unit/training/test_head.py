from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.special import softmax

from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.classification import metrics
from octospoon.training.head import fit
from octospoon.training.head.fit import ENOUGH, fit_head


def blobs(n: int, classes: int = 4, dim: int = 30, spread: float = 1.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, dim))
    labels = rng.integers(0, classes, n)
    return (centres[labels] + spread * rng.standard_normal((n, dim))).astype(np.float32), labels


def answers(head, points):
    return softmax(head.logits(points), axis=1)


def test_it_learns_and_is_calibrated():
    points, labels = blobs(400, spread=2.5)
    fitted = fit_head(points, labels, 4)
    others, truth = blobs(4000, spread=2.5, seed=1)
    guesses = answers(fitted, others)
    assert metrics.accuracy(guesses, truth) > 0.7
    assert metrics.reliability(guesses, truth).expected_calibration_error() < 0.05
    held_out = metrics.accuracy(fitted.out_of_fold, labels)
    assert held_out == pytest.approx(metrics.accuracy(guesses, truth), abs=0.06)


@pytest.mark.parametrize("shares", [(0.9, 0.1), (0.6, 0.3, 0.1)])
def test_unequal_classes_are_calibrated_one_by_one(shares):
    points, labels = blobs(6000, classes=len(shares), spread=3.0)
    rng = np.random.default_rng(0)
    kept = rng.random(len(labels)) < np.array(shares)[labels] / max(shares)
    points, labels = points[kept], labels[kept]
    guesses = answers(fit_head(points[:200], labels[:200], len(shares)), points[200:])
    assert guesses.mean(axis=0) == pytest.approx(np.bincount(labels[200:]) / len(labels[200:]), abs=0.04)


def test_held_out_answers_know_nothing_of_their_own_labels(monkeypatch):
    monkeypatch.setattr(fit, "STRENGTHS", np.array([1e-3]))
    held_out = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        points, labels = rng.standard_normal((200, 300)).astype(np.float32), rng.integers(0, 2, 200)
        fitted = fit_head(points, labels, 2)
        logits = fitted.logits(points)
        remembered = metrics.accuracy(logits - logits.mean(axis=0), labels)
        assert remembered > 0.95, "the head remembers every label"
        assert metrics.log_loss(fitted.out_of_fold, labels) < 0.75
        held_out.append(metrics.accuracy(fitted.out_of_fold, labels))
    assert abs(np.mean(held_out) - 0.5) < 0.06


@pytest.mark.parametrize(("count", "dim"), [(90, 30), (40, 300), (ENOUGH + 200, 20)])
def test_the_same_labels_give_the_same_bytes(count, dim):
    points, labels = blobs(count, dim=dim)
    first, second = (fit_head(points, labels, 4, parts=(5, dim - 5)) for _ in range(2))
    assert first.weights.tobytes() + first.bias.tobytes() == second.weights.tobytes() + second.bias.tobytes()
    assert first.out_of_fold.tobytes() == second.out_of_fold.tobytes()


def test_scale_and_location_of_embeddings_do_not_matter():
    points, labels = blobs(120)
    near = answers(fit_head(points, labels, 4), points)
    far = answers(fit_head(points * 1000 + 5000, labels, 4), points * 1000 + 5000)
    assert np.allclose(near, far, atol=0.02)


@pytest.mark.parametrize("count", [12, 60, ENOUGH + 100])
def test_scale_and_location_of_one_part_do_not_matter(count):
    points, labels = blobs(count, spread=2.0)
    moved = points.astype(np.float64)
    moved[:, 10:] = moved[:, 10:] * 1000 + 300
    parts = (10, 20)
    near = answers(fit_head(points, labels, 4, parts=parts), points)
    far = answers(fit_head(moved, labels, 4, parts=parts), moved)
    assert np.allclose(near, far, atol=1e-3)


@pytest.mark.parametrize("good", [0, 1])
def test_a_part_that_knows_nothing_does_little_harm(good):
    gains = []
    for seed in range(5):
        useful, labels = blobs(1060, dim=40, spread=2.2, seed=seed)
        noise = 3 * np.random.default_rng(seed).standard_normal((1060, 200)).astype(np.float32)
        both = np.hstack([useful, noise] if good == 0 else [noise, useful])
        parts = (40, 200) if good == 0 else (200, 40)
        train, test = slice(0, 60), slice(60, None)

        heads = [
            (points, fit_head(points[train], labels[train], 4, parts=widths))
            for points, widths in ((useful, ()), (both, parts), (both, ()))
        ]
        assert sum(heads[1][1].shares) == pytest.approx(1)
        alone, told, untold = (
            metrics.accuracy(answers(head, points[test]), labels[test]) for points, head in heads
        )
        assert told > alone - 0.12
        gains.append(told - untold)
    assert np.mean(gains) > 0.08


def test_parts_that_do_not_add_up_are_refused():
    points, labels = blobs(20)
    with pytest.raises(BadRequest, match=r"\(10, 10\).*do not add up to 30"):
        fit_head(points, labels, 4, parts=(10, 10))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_are_refused(broken):
    points, labels = blobs(20)
    points[3, 2] = points[7, 0] = broken
    with pytest.raises(BadRequest, match="2 of 20 embeddings are not finite"):
        fit_head(points, labels, 4)


def test_half_precision_embeddings_are_computed_with_in_full():
    points, labels = blobs(80)
    half = (points * 100).astype(np.float16)
    first, second = fit_head(half, labels, 4), fit_head(half.astype(np.float64), labels, 4)
    assert first.weights.tobytes() == second.weights.tobytes()


def test_unseen_classes_stay_possible_and_improbable():
    points, labels = blobs(60, classes=3)
    fitted = fit_head(points, labels * 2, 7)
    guesses = answers(fitted, points)
    assert fitted.weights.shape == (30, 7)
    assert np.isfinite(fitted.logits(points)).all()
    assert guesses[:, [1, 3, 5, 6]].max() < 0.05
    assert metrics.accuracy(guesses, labels * 2) > 0.95


@pytest.mark.parametrize("count", [1, 5])
def test_a_single_class_gives_its_frequency(count):
    fitted = fit_head(np.ones((count, 4), np.float32), np.full(count, 2), 3)
    guesses = softmax(fitted.logits(np.zeros((1, 4))), axis=1)[0]
    assert guesses == pytest.approx([1 / (count + 3)] * 2 + [(count + 1) / (count + 3)])


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 0, 1], [0, 1, 2, 3]])
def test_very_few_labels_are_enough(labels):
    points, _ = blobs(len(labels))
    fitted = fit_head(points, np.array(labels), 4)
    assert np.isfinite(fitted.logits(points)).all()
    assert fitted.logits(points).argmax(axis=1).tolist() == labels


def test_equal_points_are_borne():
    fitted = fit_head(np.ones((6, 3), np.float32), np.array([0, 0, 0, 0, 1, 1]), 2)
    assert np.isfinite(fitted.logits(np.ones((1, 3)))).all()


def test_constant_numbers_and_duplicates_are_borne():
    points, labels = blobs(40)
    wide = np.hstack([np.full((40, 3), 7, np.float32), points, np.zeros((40, 5), np.float32)])
    twice = fit_head(np.vstack([wide, wide]), np.concatenate([labels, labels]), 4, parts=(3, 30, 5))
    assert np.isfinite(twice.weights).all()
    assert np.isfinite(twice.out_of_fold).all()
    assert metrics.accuracy(answers(twice, wide), labels) == 1


def test_one_image_of_a_class_among_many_is_borne():
    points, labels = blobs(900, classes=2)
    kept = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:1]])
    for balanced in (False, True):
        fitted = fit_head(points[kept], labels[kept], 2, balanced=balanced)
        assert np.isfinite(fitted.weights).all()
        assert fitted.logits(points[kept[-1:]]).argmax() == 1 or not balanced


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


def test_of_many_labels_a_sample_is_held_out():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 2600)
    points = np.eye(3)[labels] * 2 + rng.standard_normal((2600, 3))
    head = fit_head(points, labels, 3)
    known = np.isfinite(head.out_of_fold).all(axis=1)
    assert known.sum() == ENOUGH
    assert np.bincount(labels[known]) == pytest.approx(np.bincount(labels) * ENOUGH / 2600, abs=1)
    assert np.mean(head.out_of_fold[known].argmax(axis=1) == labels[known]) > 0.8


@pytest.mark.parametrize("count", [60, 2 * ENOUGH])
def test_only_rows_that_the_backbone_has_not_seen_judge(count):
    points, labels = blobs(count, spread=2.0)
    unseen = np.arange(count) % 5 == 0
    leaky = points.copy()
    leaky[~unseen] += 20 * np.eye(30, dtype=np.float32)[labels[~unseen]]
    fitted = fit_head(leaky, labels, 4, unseen=unseen)
    known = np.isfinite(fitted.out_of_fold).all(axis=1)
    assert known.tolist() == unseen.tolist()
    assert metrics.accuracy(fitted.out_of_fold[known], labels[known]) < 0.9


def test_five_thousand_labels_take_seconds():
    points, labels = blobs(5000, classes=10, dim=1792, spread=4.0)
    began = time.thread_time()
    fitted = fit_head(points, labels, 10, parts=(512, 1280))
    assert time.thread_time() - began < 5, "one fit of the six of a training job, on one core"
    assert metrics.accuracy(fitted.logits(points[:500]), labels[:500]) > 0.95
