from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from octospoon.domain.evaluation.training_record import (
    EVERY_HEAD,
    FOLDS,
    NO_HEAD,
    TrainingRecord,
    deal,
    image_numbers,
)

DIM, CLASSES = 3, 4
NOTHING = np.empty(0, np.uint64)


def numbered(count: int, first: int = 0):
    return image_numbers((f"{i:04d}.png", "etag") for i in range(first, first + count))


def record(images, folds, tuned=NOTHING) -> TrainingRecord:
    rng = np.random.default_rng(0)
    heads = {
        int(fold): (rng.standard_normal((DIM, CLASSES)).astype(np.float32), np.zeros(CLASSES, np.float32))
        for fold in np.unique(folds[folds >= 0])
    }
    return TrainingRecord.of(images, folds, heads, (DIM, CLASSES), tuned)


def test_every_class_is_spread_evenly_over_the_folds():
    images, labels = numbered(103), np.random.default_rng(1).integers(0, CLASSES, 103)
    folds = deal(images, labels, np.ones(103, bool), None)
    for name in range(CLASSES):
        counts = np.bincount(folds[labels == name], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(folds, minlength=FOLDS)
    assert counts.max() - counts.min() <= 2


def test_only_audit_images_have_a_fold():
    audit = np.arange(40) % 4 == 0
    folds = deal(numbered(40), np.arange(40) % CLASSES, audit, None)
    assert ((folds >= 0) == audit).all()
    assert (folds[~audit] == EVERY_HEAD).all()


def test_folds_do_not_depend_on_the_order_of_images():
    images, labels = numbered(50), np.random.default_rng(2).integers(0, CLASSES, 50)
    order = np.random.default_rng(3).permutation(50)
    folds = deal(images, labels, np.ones(50, bool), None)
    assert (deal(images[order], labels[order], np.ones(50, bool), None) == folds[order]).all()


def test_images_keep_their_fold_after_labels_changed():
    images, labels = numbered(60), np.random.default_rng(4).integers(0, CLASSES, 60)
    first = deal(images[:40], labels[:40], np.ones(40, bool), None)
    changed = labels.copy()
    changed[:20] = (changed[:20] + 1) % CLASSES
    later = deal(images[10:], changed[10:], np.ones(50, bool), record(images[:40], first))
    assert (later[:30] == first[10:]).all()


def test_new_image_goes_where_its_class_is_rarest():
    images = numbered(12)
    known = record(images[:8], np.array([0, 0, 1, 1, 2, 2, 3, 3]))
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 2, 2])
    folds = deal(images, labels, np.ones(12, bool), known)
    assert folds[8] == folds[9] == 4
    assert (folds[:8] == [0, 0, 1, 1, 2, 2, 3, 3]).all()
    assert folds[10] != folds[11]


def test_image_audited_later_than_trained_gets_a_fold():
    images = numbered(4)
    known = record(images, np.array([EVERY_HEAD, EVERY_HEAD, 0, 1]))
    assert known.folds_of(images).tolist() == [EVERY_HEAD, EVERY_HEAD, 0, 1]
    folds = deal(images, np.zeros(4, np.int64), np.array([True, False, True, True]), known)
    assert folds[0] >= 0
    assert folds.tolist()[1:] == [EVERY_HEAD, 0, 1]


def test_unknown_images_have_no_head_and_lost_heads_judge_nobody():
    known = record(numbered(5), np.arange(5))
    assert (known.folds_of(numbered(3, first=90)) == NO_HEAD).all()
    damaged = replace(known, heads=known.heads[1:], weights=known.weights[1:], bias=known.bias[1:])
    assert damaged.folds_of(numbered(5)).tolist() == [EVERY_HEAD, 1, 2, 3, 4]
    empty = record(numbered(0), np.empty(0, np.int64))
    assert (empty.folds_of(numbered(2)) == NO_HEAD).all()
    assert empty.weights.shape == (0, DIM, CLASSES)


@pytest.mark.parametrize("fold", [0, 3])
def test_a_fold_head_gives_probabilities_that_sum_to_one(fold):
    known = record(numbered(5), np.array([0, 3, 3, 4, 0]))
    points = np.random.default_rng(5).standard_normal((7, DIM)).astype(np.float32) * 50
    shares = known.run(fold, points)
    assert shares.dtype == np.float32
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-6)
    at = known.heads.tolist().index(fold)
    assert (shares.argmax(axis=1) == (points @ known.weights[at]).argmax(axis=1)).all()
    assert shares.min() > 0


def test_no_head_judges_what_its_backbone_was_tuned_on():
    images = numbered(10)
    tuned = record(images[:5], np.full(5, EVERY_HEAD), images[:5])
    assert tuned.folds_of(images).tolist() == [EVERY_HEAD] * 5 + [NO_HEAD] * 5
    folds = deal(images, np.zeros(10, np.int64), np.ones(10, bool), tuned)
    assert (folds[:5] == EVERY_HEAD).all(), "a later head may train on them, and judges none"
    assert sorted(folds[5:]) == list(range(FOLDS))
    later = record(images[5:], folds[5:], tuned.backbone)
    assert (later.folds_of(images[:5]) == EVERY_HEAD).all(), "not even if their labels were missing then"


def test_variance_grows_with_the_labels_that_train_other_heads():
    folds = np.array([*np.arange(20) % FOLDS, *[EVERY_HEAD] * 80])
    made = record(numbered(100), folds)
    trained = 100 - 20 / FOLDS
    assert made.variance_factor(folds[:20]) == pytest.approx(1 + 20 / trained)
    newer = np.full(20, NO_HEAD)
    assert made.variance_factor(newer) == 1.0
    assert made.variance_factor(np.concatenate([folds[:20], newer])) == pytest.approx(1 + 10 / trained)
