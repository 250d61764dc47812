from __future__ import annotations

import numpy as np
import pytest

from octospoon.domain.evaluation.stopping import Expectation, expect

LABELS = np.array([40, 80, 120, 160, 200])


def answers(errors, images: int, seed: int = 0) -> np.ndarray:
    """Whether models of these error rates are right: each image has a difficulty that all of them meet."""
    hard = np.random.default_rng(seed).random(images)
    return np.array([hard >= error for error in errors])


def law(a: float, b: float, c: float):
    return lambda n: a + b * n ** -float(c)


@pytest.mark.parametrize("truth", [law(0.02, 10.0, 1.0), law(0.0, 2.0, 0.5), law(0.1, 500.0, 2.0)])
def test_a_power_law_is_continued(truth):
    found = expect(LABELS, answers(truth(LABELS), 200_000), 40)

    assert found.gain == pytest.approx(truth(200) - truth(240), abs=0.002)
    assert found.interval.low <= found.gain <= found.interval.high


def test_a_flat_curve_is_a_reason_to_stop():
    found = expect(LABELS, answers([0.05] * 5, 400), 40)

    assert found.stop
    assert str(found).startswith("labelling more of the same is no longer expected to help: 40 more")


def test_a_steep_curve_is_a_reason_to_go_on():
    found = expect(LABELS, answers([0.6, 0.45, 0.36, 0.31, 0.28], 2000), 40)

    assert not found.stop
    assert found.interval.low > 0.01
    assert str(found).startswith("go on: ")


def test_few_audit_images_leave_it_open():
    found = expect(LABELS, answers([0.4, 0.33, 0.3, 0.27, 0.26], 25, seed=3), 40)

    assert not found.stop
    assert found.interval.high - found.interval.low > 0.01
    assert str(found).startswith("too early to stop: ")


def test_a_curve_that_falls_promises_no_loss():
    found = expect(LABELS, answers([0.1, 0.12, 0.14, 0.15, 0.15], 400), 40)

    assert found.gain == 0.0
    assert found.interval.low == 0.0


@pytest.mark.parametrize(("points", "images"), [(2, 400), (5, 19)])
def test_too_little_says_nothing(points, images):
    assert expect(LABELS[:points], answers([0.1] * points, images), 40) is None


def test_the_interval_covers_the_truth_of_a_known_law():
    truth = law(0.02, 10.0, 1.0)
    gain = truth(200) - truth(240)
    found = [expect(LABELS, independent(truth(LABELS), 300, seed), 40) for seed in range(100)]

    assert sum(one.interval.low <= gain <= one.interval.high for one in found) >= 85


def independent(errors, images: int, seed: int) -> np.ndarray:
    """The same, half of an image's difficulty being new to each model."""
    rng = np.random.default_rng(seed)
    shared = rng.random(images)
    return np.array([np.where(rng.random(images) < 0.5, shared, rng.random(images)) >= e for e in errors])


def test_what_it_is_worth_can_be_set():
    found = expect(LABELS, answers([0.05] * 5, 400), 40, worth=0.0)

    assert isinstance(found, Expectation)
    assert not found.stop


@pytest.mark.parametrize(("accuracy", "named"), [(0.63, True), (0.97, False)])
def test_backbone_is_blamed_when_labels_do_not_help(accuracy: float, named: bool) -> None:
    curve = np.tile(np.arange(1000) < 1000 * accuracy, (4, 1))
    found = expect(np.array([50, 100, 150, 200]), curve, 50)
    assert found is not None
    assert found.stop
    assert found.accuracy == pytest.approx(accuracy)
    assert ("backbone" in str(found)) is named
    assert (f"at {100 * accuracy:.0f} % accuracy" in str(found)) is named
