"""Drift of boxes: the statistics of an image, their false alarms, and the changes that they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from octospoon.domain.monitoring import drift
from octospoon.domain.monitoring.drift import FALSE_ALARMS, Level
from octospoon.domain.pool.stored_boxes import as_stored
from octospoon.domain.task_types.detection.evaluation import DetectionEvaluator
from octospoon.domain.task_types.detection.predictions import THRESHOLD

CLASSES = 4
SHARES = np.array([0.55, 0.3, 0.1, 0.05])
EVALUATOR = DetectionEvaluator()


def boxes(*pairs: tuple[int, float]) -> np.ndarray:
    """Return a prediction with a box for each class and score, and two unused rows."""
    rows = np.zeros((len(pairs) + 2, 4 + CLASSES), np.float32)
    for at, (name, score) in enumerate(pairs):
        rows[at, :4], rows[at, 4 + name] = (at / 10, 0.1, at / 10 + 0.1, 0.2), score
    return rows


def of(*pairs: tuple[int, float]) -> list[float]:
    return EVALUATOR.statistics(boxes(*pairs)[np.newaxis])[0].tolist()


def test_an_image_becomes_its_largest_scores_and_its_boxes():
    assert of((0, 0.5), (0, 0.25), (2, 0.75)) == [0.5, 0, 0.75, 0, 2, 0.5]
    assert of() == [0, 0, 0, 0, 0, 0]
    assert of((1, 0.04)) == [0, 0, 0, 0, 0, 0], "it is background"


def test_a_box_counts_for_its_most_probable_class_alone():
    both = boxes((0, 0.5))
    both[0, 4 + 1] = 0.4375
    numbers = EVALUATOR.statistics(both[np.newaxis])
    assert numbers[0].tolist() == [0.5, 0, 0, 0, 1, 0.5]
    assert EVALUATOR.predicted_classes(numbers).tolist() == [[True, False, False, False]]


def test_stored_boxes_have_the_statistics_of_computed_ones():
    rng = np.random.default_rng(0)
    for _ in range(50):
        given = boxes(*((int(rng.integers(CLASSES)), float(rng.uniform(0.06, 1))) for _ in range(9)))
        computed, stored = (EVALUATOR.statistics(each[np.newaxis]) for each in (given, as_stored(given)))
        assert np.array_equal(computed, stored)
    edge = EVALUATOR.statistics(boxes((0, THRESHOLD))[np.newaxis])
    assert EVALUATOR.predicted_classes(edge)[0, 0]


def seen(
    rng: np.random.Generator,
    images: int,
    *,
    more: float = 1.0,
    shares: np.ndarray = SHARES,
    light: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings and statistics: a crowded image has many objects, mostly of one class."""
    predictions = np.zeros((images, 24, 4 + CLASSES), np.float32)
    for rows in predictions:
        own = rng.dirichlet(3 * shares + 1e-9)
        for row in rows[: min(24, rng.negative_binomial(2, 2 / (2 + 3 * more)))]:
            row[:4] = (0.1, 0.1, 0.2, 0.2)
            row[4 + rng.choice(CLASSES, p=own)] = light * rng.beta(4, 2)
    return rng.standard_normal((images, 6)), EVALUATOR.statistics(predictions)


def finding(seed: int, change: dict[str, Any]) -> drift.DriftResult:
    rng = np.random.default_rng(seed)
    known = drift.reference(*seen(rng, 600))
    embeddings, numbers = seen(rng, 300, **change)
    return drift.compare(known, embeddings, numbers, EVALUATOR.predicted_classes)


def test_at_most_a_twentieth_of_unchanged_days_is_suspected():
    rng = np.random.default_rng(0)
    embeddings, numbers = seen(rng, 3000)
    findings = []
    for _ in range(500):
        order = rng.permutation(3000)
        known = drift.reference(embeddings[order[:900]], numbers[order[:600]])
        day = order[900:1400]
        findings.append(drift.compare(known, embeddings[day], numbers[day], EVALUATOR.predicted_classes))
    assert np.mean([each.level is not Level.NONE for each in findings]) <= FALSE_ALARMS
    assert np.mean([each.level is Level.CONFIRMED for each in findings]) <= 0.02


@pytest.mark.parametrize(
    ("change", "shown_by"),
    [
        ({"shares": np.array([0.65, 0.0, 0.25, 0.1])}, "classes_p"),
        ({"more": 2.0}, "probabilities_p"),
        ({"light": 0.8}, "probabilities_p"),
    ],
    ids=["a class disappears", "twice as many objects", "darker images"],
)
def test_changes_are_suspected_on_the_first_day(change, shown_by):
    findings = [finding(seed, change) for seed in range(5)]
    assert all(each.level is not Level.NONE for each in findings)
    assert max(getattr(each, shown_by) for each in findings) < 1e-4
