"""Tests of predicted classes keep their level however the classes of an image depend on one another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from octospoon.domain.monitoring import drift, two_sample_tests
from octospoon.domain.monitoring.class_tests import class_shift, fisher
from octospoon.domain.monitoring.drift import Level
from octospoon.domain.task_types.multilabel.evaluation import MultilabelEvaluator

LIMIT = drift.FALSE_ALARMS / drift.TESTS
ALWAYS_TOGETHER = 10


@pytest.mark.parametrize(
    ("first", "n", "second", "m"),
    [
        (0, 900, 12, 500),
        (3, 900, 0, 500),
        (450, 900, 250, 500),
        (899, 900, 480, 500),
        (0, 50, 0, 60),
        (7, 8, 1, 9),
    ],
)
def test_fishers_test_agrees_with_scipy(first, n, second, m):
    theirs = stats.fisher_exact([[first, n - first], [second, m - second]]).pvalue
    assert fisher(first, n, second, m) == pytest.approx(theirs, rel=1e-6)


def in_groups(rng: np.random.Generator, images: int) -> np.ndarray:
    """Return images of two kinds, each of which shows all classes of its group: bool [N, 20]."""
    kind = rng.random(images) < 0.5
    return np.column_stack(
        [np.tile(kind[:, None], ALWAYS_TOGETHER), np.tile(~kind[:, None], ALWAYS_TOGETHER)]
    )


def test_classes_that_come_together_raise_no_false_alarm():
    rng = np.random.default_rng(0)
    pairs = [(in_groups(rng, 900), in_groups(rng, 500)) for _ in range(500)]
    ours = np.array([class_shift(*pair) for pair in pairs])
    counted = np.array([two_sample_tests.chi_squared(one.sum(axis=0), two.sum(axis=0)) for one, two in pairs])
    assert np.mean(ours <= LIMIT) <= LIMIT
    assert np.mean(counted <= LIMIT) > 2 * LIMIT, "counts vary more than chi-squared allows for"


def test_several_classes_keep_the_rate_of_false_alarms():
    rng = np.random.default_rng(1)
    evaluator = MultilabelEvaluator()

    def seen(images: int) -> tuple[np.ndarray, np.ndarray]:
        shown = in_groups(rng, images) ^ (rng.random((images, 2 * ALWAYS_TOGETHER)) < 0.02)
        sure = np.where(shown, 0.9, 0.1) + rng.normal(0, 0.03, shown.shape)
        return rng.standard_normal((images, 4)), evaluator.statistics(sure)

    findings = [
        drift.compare(drift.reference(*seen(900)), *seen(500), evaluator.predicted_classes)
        for _ in range(500)
    ]
    suspected = np.mean([finding.level is not Level.NONE for finding in findings])
    assert suspected <= drift.FALSE_ALARMS


def test_a_class_that_disappears_among_several_is_noticed():
    rng = np.random.default_rng(2)
    before, after = (rng.random((images, 6)) < 0.1 for images in (900, 500))
    assert class_shift(before, after) > LIMIT
    after[:, 3] = False
    assert class_shift(before, after) < 1e-6


def test_one_class_for_each_image_is_counted_by_chi_squared():
    rng = np.random.default_rng(3)
    before, after = (rng.integers(4, size=images)[:, None] == np.arange(4) for images in (300, 200))
    counted = two_sample_tests.chi_squared(before.sum(axis=0), after.sum(axis=0))
    assert class_shift(before, after) == counted
