from __future__ import annotations

import functools
import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import stats
from scipy.spatial.distance import cdist
from scipy.special import softmax
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from unit.training.stack import starter

from octospoon.adapters.imaging.decode import decode
from octospoon.adapters.onnx.session import open_session
from octospoon.cli.datasets import digits
from octospoon.domain.monitoring import drift, two_sample_tests
from octospoon.domain.monitoring.drift import Level
from octospoon.domain.task_types.classification.evaluation import ClassificationEvaluator
from octospoon.training.head.fit import fit_head

REFERENCE, WINDOW = 900, 500
compare = functools.partial(drift.compare, classes=ClassificationEvaluator().predicted_classes)


@pytest.fixture(autouse=True)
def single_threaded():
    """Use one thread: on arrays this small, more threads are slower."""
    with threadpool_limits(1):
        yield


@functools.cache
def embed(blur: float):
    session = open_session(starter())
    pixels = np.stack([blurred(digits.png_bytes(i), blur) for i in range(len(digits.labels()))])
    return np.concatenate(
        [session.run(["embedding"], {"image": part})[0] for part in np.array_split(pixels, 30)]
    )


def blurred(png: bytes, radius: float):
    if radius:
        made, image = io.BytesIO(), Image.open(io.BytesIO(png))
        image.filter(ImageFilter.GaussianBlur(radius)).save(made, "PNG")
        png = made.getvalue()
    return decode(png, 32, 32, "squash")


@pytest.fixture(name="digits_seen", scope="module")
def made():
    """Return a function: images and blur -> embeddings (of 64 dimensions, for speed) and probabilities."""
    plain, labels = embed(0.0), digits.labels()
    rng = np.random.default_rng(0)
    trained = rng.choice(len(labels), 150, replace=False)
    fitted = fit_head(plain[trained], labels[trained], 10)
    axes = rng.standard_normal((plain.shape[1], 64)) / 8

    @functools.cache
    def embed_blurred(blur):
        every = embed(blur)
        return (every @ axes).astype(np.float32), softmax(fitted.logits(every), axis=1)

    def see(images, blur=0.0):
        projected, probabilities = embed_blurred(blur)
        return projected[images], probabilities[images]

    return see, np.setdiff1d(np.arange(len(labels)), trained)


def windows(digits_seen, count, blur=0.0, without=None):
    """Compare `count` windows with references, each drawn anew; return the findings."""
    see, images = digits_seen
    findings = []
    for seed in range(count):
        order = np.random.default_rng(seed).permutation(images)
        others = order[REFERENCE:]
        if without is not None:
            others = others[digits.labels()[others] != without]
        known = drift.reference(*see(order[:REFERENCE]))
        findings.append(compare(known, *see(others[:WINDOW], blur)))
    return findings


def share(findings, *levels):
    return np.mean([finding.level in levels for finding in findings])


def test_at_most_a_twentieth_of_unchanged_windows_is_suspected(digits_seen):
    findings = windows(digits_seen, 500)
    assert 0.01 <= share(findings, Level.SUSPECTED, Level.CONFIRMED) <= 0.05
    assert share(findings, Level.CONFIRMED) <= 0.02


def test_blur_is_detected_at_500_images_every_time(digits_seen):
    assert share(windows(digits_seen, 30, blur=2.0), Level.CONFIRMED) == 1.0


def test_missing_class_is_detected_in_three_of_ten_windows(digits_seen):
    findings = windows(digits_seen, 30, without=3)
    assert share(findings, Level.SUSPECTED, Level.CONFIRMED) >= 0.9
    assert np.median([finding.classes_p for finding in findings]) < 1e-4


@pytest.mark.parametrize("before", [0, 80], ids=["a new class", "a class that is more than it was"])
def test_drift_shows_by_what_has_become_more(digits_seen, before):
    see, images = digits_seen
    right = []
    for digit in range(10):
        order = np.random.default_rng(digit).permutation(images)
        these = digits.labels()[order] == digit
        more, others = order[these], order[~these]
        known = drift.reference(*see(np.concatenate([more[:before], others[:700]])))
        window = np.concatenate([more[before : before + 60], others[700:840]])
        assert len(window) == 200
        scores = drift.novelty(known, see(window)[0])
        first = window[np.argsort(-scores, kind="stable")[:25]]
        right.append(np.mean(digits.labels()[first] == digit))
    assert np.mean(right) >= 0.9


def test_the_witness_is_its_definition():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((90, 5)), rng.standard_normal((40, 5)) + 0.5
    values = two_sample_tests.witness(first, second)
    ends = np.random.default_rng(0).integers(130, size=(2, 500))
    every = np.concatenate([first, second])
    width = np.median(np.linalg.norm(every[ends[0]] - every[ends[1]], axis=1))
    kernel = np.exp(-cdist(second, every, "sqeuclidean") / (2 * width**2))
    assert values == pytest.approx(kernel[:, 90:].mean(axis=1) - kernel[:, :90].mean(axis=1), abs=1e-6)
    assert two_sample_tests.witness(first, first) == pytest.approx(0.0, abs=1e-12)


def test_what_is_suspected_twice_in_a_row_is_confirmed():
    rng = np.random.default_rng(0)
    known = drift.reference(rng.standard_normal((900, 8)), np.tile([0.9, 0.1], (900, 1)))
    window = rng.standard_normal((500, 8)), np.repeat([[0.9, 0.1], [0.1, 0.9]], [480, 20], axis=0)
    assert compare(known, *window).level is Level.SUSPECTED
    again = compare(known, *window, suspected_before=True)
    assert again.level is Level.CONFIRMED
    assert again.images == 500


def test_the_same_window_gives_the_same_numbers(digits_seen):
    assert windows(digits_seen, 1, blur=2.0) == windows(digits_seen, 1, blur=2.0)


def test_windows_of_another_model_are_refused():
    known = drift.reference(np.eye(8)[:4], np.full((4, 3), 1 / 3))
    with pytest.raises(ValueError, match="embeddings"):
        compare(known, np.ones((5, 7)), np.full((5, 3), 1 / 3))
    with pytest.raises(ValueError, match="statistics"):
        compare(known, np.ones((5, 8)), np.full((5, 2), 0.5))
    with pytest.raises(ValueError, match="reference"):
        drift.reference(np.ones((1, 8)), np.ones((1, 3)))


@pytest.mark.parametrize("sizes", [(40, 30), (200, 300), (2000, 500)])
def test_kolmogorov_smirnov_agrees_with_scipy(sizes):
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.05, 0.1, 0.3):
        first, second = rng.standard_normal(sizes[0]), rng.standard_normal(sizes[1]) + shift
        theirs = stats.ks_2samp(first, second, method="asymp")
        ours = two_sample_tests.kolmogorov_smirnov(first[:, None], second[:, None])
        assert ours == pytest.approx(theirs.pvalue, rel=0.15, abs=0.003)
    assert two_sample_tests.kolmogorov(0.5, 100, 100) == pytest.approx(
        stats.kstwobign.sf((np.sqrt(50) + 0.12 + 0.11 / np.sqrt(50)) * 0.5), rel=1e-9
    )
    assert two_sample_tests.kolmogorov(0.0, 100, 100) == 1.0


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 99])
def test_the_tail_of_chi_squared_agrees_with_scipy(freedom):
    for value in (0.0, 0.1, 1.0, 9.5, 40.0, 150.0):
        ours = two_sample_tests.chi_squared_tail(value, freedom)
        assert ours == pytest.approx(stats.chi2.sf(value, freedom), rel=1e-9, abs=1e-300)


def test_chi_squared_agrees_with_scipy_and_counts_rare_classes_together():
    first, second = np.array([300, 200, 500]), np.array([60, 55, 85])
    theirs = stats.chi2_contingency([first, second], correction=False).pvalue
    assert two_sample_tests.chi_squared(first, second) == pytest.approx(theirs, rel=1e-9)
    rare = np.array([300, 200, 500, 2, 1, 0]), np.array([60, 55, 85, 0, 0, 1])
    together = [[300, 200, 500, 3], [60, 55, 85, 1]]
    theirs = stats.chi2_contingency(together, correction=False).pvalue
    assert two_sample_tests.chi_squared(*rare) == pytest.approx(theirs, rel=1e-9)
    assert two_sample_tests.chi_squared(np.array([9, 0]), np.array([7, 0])) == 1.0


def test_discrepancy_is_distributed_as_a_p_value_must_be():
    rng = np.random.default_rng(0)
    under = [
        two_sample_tests.maximum_mean_discrepancy(*np.split(rng.standard_normal((200, 4)), [120]))
        for _ in range(200)
    ]
    assert 0.02 <= np.mean(np.array(under) <= 0.05) <= 0.09
    shifted = rng.standard_normal((120, 4)), rng.standard_normal((80, 4)) + 0.6
    assert two_sample_tests.maximum_mean_discrepancy(*shifted) <= 0.01
