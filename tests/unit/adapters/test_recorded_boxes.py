"""The record of a detector keeps its boxes for audit images; records of classifiers stay as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from octospoon.adapters.s3.training_records import packed, unpacked
from octospoon.domain.evaluation.audit_boxes import AuditBoxes
from octospoon.domain.evaluation.training_record import EVERY_HEAD, TrainingRecord, image_numbers
from octospoon.domain.pool.stored_boxes import as_stored


def record() -> TrainingRecord:
    images = image_numbers((f"{i}.png", "e") for i in range(20))
    return TrainingRecord.of(images, np.full(20, EVERY_HEAD), {}, (8, 3), images[:0])


def boxes(count: int, seed: int) -> np.ndarray:
    """Return boxes float32 [count, 4 + 3], the last of which are unused."""
    rows = np.zeros((count + 2, 7), np.float32)
    rows[:count] = np.random.default_rng(seed).uniform(0.1, 0.9, (count, 7))
    rows[:count, 2:4] = rows[:count, :2] + 0.05
    return rows


def test_boxes_come_back_by_the_number_of_their_image() -> None:
    numbers = image_numbers((f"audit/{i}.png", "e") for i in range(5))
    predicted = [boxes(count, count) for count in (3, 0, 1, 7, 2)]
    made = replace(record(), boxes=AuditBoxes.of(numbers, predicted))

    kept = unpacked(packed(made))

    assert packed(kept) == packed(made)
    assert kept.boxes is not None
    for number, given in zip(numbers.tolist(), predicted, strict=True):
        assert np.array_equal(kept.boxes.get(number), as_stored(given))
    assert kept.boxes.get(1) is None
    assert kept.boxes.get(2**64 - 1) is None


def test_a_record_without_boxes_has_the_bytes_of_earlier_releases() -> None:
    assert b"box" not in packed(record())
    assert unpacked(packed(record())).boxes is None


def test_a_detector_without_audit_images_has_an_empty_record() -> None:
    made = replace(record(), boxes=AuditBoxes.of(np.zeros(0, np.uint64), []))
    kept = unpacked(packed(made)).boxes
    assert kept is not None
    assert kept.get(3) is None
