"""Intervals of a detector's metrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bench.ap_intervals import DETECTORS, population
from scipy.stats import t

from octospoon.domain.evaluation.metrics import wilson
from octospoon.domain.task_types.detection.average_precision import average_precision
from octospoon.domain.task_types.detection.estimates import evaluate
from octospoon.domain.task_types.detection.intervals import average_precisions, bootstrap, share
from octospoon.domain.task_types.detection.matching import match


def odds(share: float) -> float:
    return math.log(share / (1 - share))


def test_intervals_contain_the_truth_about_as_often_as_they_say() -> None:
    predictions, targets = population(DETECTORS["fair"], 600)
    truth = float(average_precision(match(predictions, targets))[0, :, 0].mean())
    within = []
    for repeat in range(60):
        rows = np.random.default_rng(repeat).choice(600, 50, replace=False)
        ap50, *_ = average_precisions(match(predictions[rows], targets[rows]))
        within.append(ap50.low <= truth <= ap50.high)
    # by the bootstrap's percentiles, 51 of the 60 contain it
    assert sum(within) >= 54


def test_equal_images_have_equal_intervals_around_the_figure() -> None:
    predictions, targets = population(DETECTORS["poor"], 60, seed=3)

    first, second = evaluate(predictions, targets), evaluate(predictions, targets)

    assert first == second
    for estimate in (first.accuracy, first.average_precision, *first.class_ap50, *first.recall):
        assert 0 < estimate.low < estimate.value < estimate.high < 1
    assert {estimate.labels for estimate in (first.accuracy, *first.class_ap50)} == {60}
    objects = np.bincount(targets[targets[..., 4] >= 0][:, 4].astype(int))
    assert [estimate.labels for estimate in first.recall] == objects.tolist()


def test_a_factor_widens_intervals_by_its_root() -> None:
    predictions, targets = population(DETECTORS["fair"], 100, seed=2)
    matches = match(predictions, targets)

    one, four = average_precisions(matches)[1], average_precisions(matches, 4.0)[1]

    widths = [odds(each.high) - odds(each.low) for each in (one, four)]
    assert widths[1] == pytest.approx(2 * widths[0])
    narrow, wide = (evaluate(predictions, targets, factor).log_loss for factor in (1.0, 4.0))
    assert wide.high - wide.value == pytest.approx(2 * (narrow.high - narrow.value))


def test_less_than_two_images_say_nothing() -> None:
    predictions, targets = population(DETECTORS["fair"], 3, seed=1)

    for count in (0, 1):
        result = evaluate(predictions[:count], targets[:count])
        assert (result.accuracy.low, result.accuracy.high) == (-math.inf, math.inf)
    nothing = evaluate(predictions, np.full_like(targets, -1.0))
    assert math.isnan(nothing.accuracy.value)
    assert math.isinf(nothing.accuracy.high)
    assert "ap50" not in nothing.metrics()


def test_a_class_in_one_image_has_no_narrow_interval() -> None:
    predictions, targets = population(DETECTORS["fair"], 40, seed=5)
    rare = targets[..., 4] == 2
    rare[np.flatnonzero(rare.any(axis=1))[0]] = False
    targets[rare, 4] = -1

    result = evaluate(predictions, targets)

    rarest, whole = result.class_ap50[2], result.accuracy
    assert math.isfinite(rarest.value)
    assert (rarest.low, rarest.high) == (-math.inf, math.inf)
    assert whole.high - whole.low > 0.35, "a third of the mean may be anything"


def test_images_without_an_error_leave_room_for_one() -> None:
    predictions, targets = np.zeros((30, 1, 6), np.float32), np.zeros((30, 1, 5))
    predictions[:, 0, :5] = [0.1, 0.1, 0.5, 0.5, 1]
    targets[:, 0] = [0.1, 0.1, 0.5, 0.5, 0]

    all_right, none = evaluate(predictions, targets), evaluate(np.zeros_like(predictions), targets)

    assert (all_right.accuracy.value, all_right.accuracy.high) == (1, 1)
    assert all_right.accuracy.low == pytest.approx(wilson(30, 30).low)
    assert (none.accuracy.value, none.accuracy.low) == (0, 0)
    assert none.accuracy.high == pytest.approx(wilson(0, 30).high)


def test_alike_objects_of_one_image_count_as_one() -> None:
    wholes = np.full(50, 4)
    together, apart = np.repeat([4, 0], 25), np.full(50, 2)

    alike, independent = share(together, wholes, 1.0), share(apart, wholes, 1.0)

    assert (alike.value, independent.value) == (0.5, 0.5)
    assert (alike.labels, independent.labels) == (200, 200), "a class has so many objects"
    assert (independent.low, independent.high) == pytest.approx((wilson(100, 200).low, wilson(100, 200).high))
    # four objects that are always alike are worth one
    assert alike.high - alike.low == pytest.approx(2 * (independent.high - independent.low), rel=0.03)
    assert math.isnan(share(np.zeros(5, np.int64), np.zeros(5, np.int64), 1.0).value)


def test_the_bootstrap_of_a_mean_is_that_of_student() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)

    estimate = bootstrap(lambda sums: sums[:, 1] / sums[:, 0], np.column_stack([np.ones(400), values]), 1.0)

    half = t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.1)
