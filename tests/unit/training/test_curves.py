from __future__ import annotations

import numpy as np
import pytest

from octospoon.training.evaluation.curves import Curve, compare, mean_interval, saving, verdict

LABELS = np.arange(20, 201, 20)


def curve(rate: float, seeds: int = 20, seed: int = 0, noise: float = 0.01) -> Curve:
    """Return a curve of accuracies 1 - 0.5·exp(-rate·labels/100), with noise."""
    mean = 1 - 0.5 * np.exp(-rate * LABELS / 100)
    return Curve(LABELS, mean + noise * np.random.default_rng(seed).standard_normal((seeds, len(LABELS))))


def test_students_interval():
    # scipy.stats.ttest_1samp([1, 2, 3, 4]).confidence_interval()
    interval = mean_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert (interval.low, interval.high) == pytest.approx((0.4457397, 4.5542603))


def test_strategy_that_learns_twice_as_fast_needs_half_the_labels():
    comparison = compare(curve(2.0, seed=1, noise=0.003), curve(1.0, noise=0.003))

    assert comparison.better
    assert comparison.labels_share == pytest.approx(0.5, abs=0.03)
    assert comparison.labels_interval.low < 0.5 < comparison.labels_interval.high
    assert comparison.labels_interval.high - comparison.labels_interval.low < 0.1
    assert "half better: " not in verdict({"half": comparison}, 200)
    assert verdict({"half": comparison}, 200).startswith(
        "half beats random on these data; half reaches random's"
    )


def test_what_is_no_better_is_said_plainly():
    comparisons = {
        "a": compare(curve(1.0, seed=1), curve(1.0), 2),
        "b": compare(curve(0.5, seed=2), curve(1.0), 2),
    }

    assert not comparisons["a"].better
    assert comparisons["b"].labels_share == np.inf
    assert verdict(comparisons, 200).startswith("No strategy beats random on these data")
    assert saving(comparisons["b"], 200) == "does not reach random's accuracy at 200 labels"


def test_lead_is_claimed_once_in_forty_under_no_difference():
    rng = np.random.default_rng(5)
    claims = 0
    for _ in range(400):
        values = rng.standard_normal((2, 20, 3))
        claims += compare(Curve(LABELS[:3], values[0]), Curve(LABELS[:3], values[1])).better
    assert 2 <= claims <= 20


def test_more_strategies_at_once_need_more_evidence():
    alone, among_five = (compare(curve(1.1, seed=1), curve(1.0), strategies) for strategies in (1, 5))
    assert among_five.lead == alone.lead
    assert among_five.lead_interval.low < alone.lead_interval.low


def test_the_interval_of_the_share_covers_the_truth():
    covered = 0
    for i in range(60):
        comparison = compare(curve(1.5, seed=2 * i + 1), curve(1.0, seed=2 * i))
        covered += comparison.labels_interval.low <= 2 / 3 <= comparison.labels_interval.high
    assert covered >= 48


def test_random_needs_all_of_its_own_labels():
    same = compare(curve(1.0), curve(1.0))
    assert same.labels_share == pytest.approx(1.0)
    assert same.labels_interval.low <= 1 <= same.labels_interval.high
    # and other draws of random need as many: by first crossings of these curves as they are it was 86 %
    pairs = [(curve(2.5, seed=2 * i, noise=0.03), curve(2.5, seed=2 * i + 1, noise=0.03)) for i in range(40)]
    comparisons = [compare(*pair) for pair in pairs]
    assert np.median([comparison.labels_share for comparison in comparisons]) > 0.93
    assert (
        sum(
            comparison.labels_interval.low <= 1 <= comparison.labels_interval.high
            for comparison in comparisons
        )
        >= 36
    )


def test_where_nothing_is_learnt_no_share_of_labels_is_given():
    flat = [
        Curve(LABELS, 0.5 + 0.02 * np.random.default_rng(seed).standard_normal((20, 10))) for seed in (0, 1)
    ]
    comparison = compare(*flat)
    assert np.isnan(comparison.labels_share)
    assert not comparison.better
    assert "needs an unknown number of labels" in saving(comparison, 200)
    assert verdict({"a": comparison}, 200).startswith("No strategy beats random")
    still = Curve(LABELS, np.full((20, 10), 0.7))
    assert np.isnan(compare(still, still).labels_share)
    assert not compare(still, still).worse


def test_curve_that_flattens_early_shows_no_saving_by_noise():
    mean = np.minimum(0.5 + 0.004 * LABELS, 0.9)
    control = Curve(LABELS, np.tile(mean, (20, 1)))
    assert compare(control, control).labels_share == 1.0
    assert compare(Curve(LABELS, control.accuracy + 0.05), control).labels_share < 0.5


def test_what_is_worse_than_random_is_called_so():
    comparisons = {"a": compare(curve(0.5, seed=1), curve(1.0))}
    assert comparisons["a"].worse
    assert "a is significantly worse than random." in verdict(comparisons, 200)


def test_strategy_may_lead_in_accuracy_and_lose_rare_classes():
    control, ahead = curve(1.0), curve(1.5, seed=1)
    level = Curve(LABELS, control.accuracy, control.accuracy)
    comparison = compare(Curve(LABELS, ahead.accuracy, control.accuracy - 0.05), level)
    assert comparison.better
    assert comparison.balanced_lead == pytest.approx(-0.05)
    assert comparison.less_balanced
    assert "a has significantly lower balanced accuracy than random" in verdict({"a": comparison}, 200)
