from __future__ import annotations

import numpy as np
import pytest

from octospoon.domain.evaluation.stopping import Expectation, expect, resampled

LABELS = np.array([40, 80, 120, 160, 200])


def answers(errors, images: int, seed: int = 0) -> np.ndarray:
    """Return bool [models, images]: right answers at these error rates. All models share difficulties."""
    hard = np.random.default_rng(seed).random(images)
    return np.array([hard >= error for error in errors])


def law(a: float, b: float, c: float):
    return lambda n: a + b * n ** -float(c)


@pytest.mark.parametrize("truth", [law(0.02, 10.0, 1.0), law(0.0, 2.0, 0.5), law(0.1, 500.0, 2.0)])
def test_a_power_law_is_continued(truth):
    expectation = expect(LABELS, resampled(answers(truth(LABELS), 200_000)), 40)

    assert expectation.gain == pytest.approx(truth(200) - truth(240), abs=0.002)
    assert expectation.interval.low <= expectation.gain <= expectation.interval.high


def test_a_flat_curve_is_a_reason_to_stop():
    expectation = expect(LABELS, resampled(answers([0.05] * 5, 400)), 40)

    assert expectation.stop
    assert str(expectation).startswith("labelling more of the same is no longer expected to help: 40 more")


def test_a_steep_curve_is_a_reason_to_go_on():
    expectation = expect(LABELS, resampled(answers([0.6, 0.45, 0.36, 0.31, 0.28], 2000)), 40)

    assert not expectation.stop
    assert expectation.interval.low > 0.01
    assert str(expectation).startswith("go on: ")


def test_few_audit_images_leave_it_open():
    expectation = expect(LABELS, resampled(answers([0.4, 0.33, 0.3, 0.27, 0.26], 25, seed=3)), 40)

    assert not expectation.stop
    assert expectation.interval.high - expectation.interval.low > 0.01
    assert str(expectation).startswith("too early to stop: ")


def test_a_curve_that_falls_promises_no_loss():
    expectation = expect(LABELS, resampled(answers([0.1, 0.12, 0.14, 0.15, 0.15], 400)), 40)

    assert expectation.gain == 0.0
    assert expectation.interval.low == 0.0


def test_the_interval_covers_the_truth_of_a_known_law():
    truth = law(0.02, 10.0, 1.0)
    gain = truth(200) - truth(240)
    expectations = [
        expect(LABELS, resampled(independent(truth(LABELS), 300, seed)), 40) for seed in range(100)
    ]

    assert (
        sum(expectation.interval.low <= gain <= expectation.interval.high for expectation in expectations)
        >= 85
    )


def independent(errors, images: int, seed: int) -> np.ndarray:
    """Return the same, but half of the images have a new difficulty for each model."""
    rng = np.random.default_rng(seed)
    shared = rng.random(images)
    return np.array([np.where(rng.random(images) < 0.5, shared, rng.random(images)) >= e for e in errors])


def test_what_it_is_worth_can_be_set():
    expectation = expect(LABELS, resampled(answers([0.05] * 5, 400)), 40, worth=0.0)

    assert isinstance(expectation, Expectation)
    assert not expectation.stop


@pytest.mark.parametrize(("accuracy", "named"), [(0.63, True), (0.97, False)])
def test_backbone_is_blamed_when_labels_do_not_help(accuracy: float, named: bool) -> None:
    curve = np.tile(np.arange(1000) < 1000 * accuracy, (4, 1))
    expectation = expect(np.array([50, 100, 150, 200]), resampled(curve), 50)
    assert expectation.stop
    assert expectation.accuracy == pytest.approx(accuracy)
    assert ("backbone" in str(expectation)) is named
    assert (f"at {100 * accuracy:.0f} % accuracy" in str(expectation)) is named
