from __future__ import annotations

import pytest

from octospoon.domain.training.first_labels import FirstLabels
from octospoon.training.detector.trainer import LEAST_LABELS


@pytest.mark.parametrize(
    ("classes", "images", "labels"),
    [(2, 10, 8), (3, 15, 12), (4, 20, 16), (10, 50, 40), (30, 50, 50), (0, 50, 50)],
)
def test_first_batches_fit_the_number_of_classes(classes: int, images: int, labels: int) -> None:
    assert FirstLabels().batch(classes, 50) == images
    assert FirstLabels().training(classes, 50) == labels


@pytest.mark.parametrize(("classes", "images", "labels"), [(2, 30, 24), (8, 40, 32), (30, 50, 50)])
def test_first_batches_of_boxes_are_enough_for_a_detector(classes: int, images: int, labels: int) -> None:
    first = FirstLabels(task_type="detection")
    assert first.batch(classes, 50) == images
    assert first.training(classes, 50) == labels
    audit_share = 0.5
    assert labels - round(labels * audit_share) >= LEAST_LABELS


@pytest.mark.parametrize("classes", range(2, 40))
@pytest.mark.parametrize("given", [0, 5, 20, 1000])
@pytest.mark.parametrize("most", [1, 5, 20, 50, 200])
def test_a_first_batch_is_enough_to_start_training(classes: int, given: int, most: int) -> None:
    first = FirstLabels(given)

    assert 1 <= first.training(classes, most) <= first.batch(classes, most) <= most


def test_a_number_that_was_given_wins_over_the_classes() -> None:
    assert FirstLabels(30).batch(2, 50) == FirstLabels(30).training(2, 50) == 30
    assert FirstLabels(1000).batch(2, 50) == FirstLabels(1000).training(2, 50) == 50
