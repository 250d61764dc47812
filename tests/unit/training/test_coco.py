"""Our average precision, also on resamples of the images, is that of faster-coco-eval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation.gate import Answers, Rules
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.average_precision import average_precision
from octospoon.domain.task_types.detection.estimates import evaluate
from octospoon.domain.task_types.detection.matching import THRESHOLDS, match
from octospoon.training.evaluation import coco
from octospoon.training.evaluation.gate import judge

CLASSES = 3


def sample(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and targets in sixteenths of the image, with many equal scores and overlaps."""
    rng = np.random.default_rng(seed)
    targets = np.zeros((count, 6, 5))
    predictions = np.zeros((count, 12, 4 + CLASSES), np.float32)
    for truth, rows in zip(targets, predictions, strict=True):
        corner, size = rng.integers(0, 9, (6, 2)), rng.integers(3, 8, (6, 2))
        truth[:, :4] = np.concatenate([corner, corner + size], axis=1) / 16
        truth[:, 4] = np.where(rng.uniform(size=6) < 0.5, rng.choice(CLASSES, 6, p=[0.7, 0.25, 0.05]), -1)
        at = np.concatenate([np.arange(6), rng.integers(0, 6, 6)])
        moved = corner[at] + (rng.uniform(size=(12, 2)) < 0.1)
        rows[:, :4] = np.concatenate([moved, moved + size[at]], axis=1) / 16
        wrong = np.arange(12) >= 6
        label = np.where(wrong, rng.integers(0, CLASSES, 12), truth[at, 4]).astype(int)
        score = np.round(rng.uniform(0.1, 1, 12) * np.where(wrong, 0.5, 1), 1)
        rows[np.flatnonzero(label >= 0), 4 + label[label >= 0]] = score[label >= 0]
    return np.clip(predictions, 0, 1), targets


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_that_of_the_library(seed: int) -> None:
    predictions, targets = sample(seed)

    (ours,) = average_precision(match(predictions, targets))

    theirs = coco.average_precision(predictions, targets)
    assert ours.shape == (CLASSES, len(THRESHOLDS))
    assert np.allclose(ours, theirs, rtol=0, atol=1e-9, equal_nan=True)
    assert 0.2 < np.nanmean(ours) < 0.95, "neither is trivial"


@pytest.mark.parametrize("seed", range(4))
def test_a_resample_counts_as_if_its_images_were_copied(seed: int) -> None:
    predictions, targets = sample(seed)
    scores = predictions[..., 4:]
    scores[scores > 0] -= np.random.default_rng(seed).uniform(0, 0.01, (scores > 0).sum())  # no equal ones
    weights = np.random.default_rng(seed).multinomial(40, np.full(40, 1 / 40), 3)

    ours = average_precision(match(predictions, targets), weights)

    for row, counts in zip(ours, weights, strict=True):
        rows = np.repeat(np.arange(40), counts)
        theirs = coco.average_precision(predictions[rows], targets[rows])
        assert np.allclose(row, theirs, rtol=0, atol=1e-9, equal_nan=True)


def test_empty_images_and_absent_classes_agree_too() -> None:
    predictions, targets = sample(0)
    targets[targets[..., 4] == 2, 4] = -1
    predictions[:10] = 0
    targets[5:15, :, 4] = -1

    (ours,) = average_precision(match(predictions, targets))

    assert np.isnan(ours[2]).all()
    assert np.allclose(ours, coco.average_precision(predictions, targets), rtol=0, atol=1e-9, equal_nan=True)
    (nothing,) = average_precision(match(np.zeros_like(predictions), targets))
    assert nothing[:2].tolist() == np.zeros((2, len(THRESHOLDS))).tolist()


def answers(predictions: np.ndarray, version: int) -> Answers:
    spec = ModelSpec(("cat", "dog", "owl"), 8, 8, 4, "squash", "b" * 64, version)
    return Answers(spec, predictions, 0.01, 1000)


def test_a_job_compares_what_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, targets = sample(2)
    before = predictions.copy()
    before[:10] = np.nan
    asked = (DETECTION.evaluator, answers(predictions, 2), answers(before, 1), targets, None, Rules())

    judged = judge(*asked)

    values = judged.metrics(targets)
    assert judged.decision.promote
    assert values["audit_ap50"] == DETECTION.evaluator.metric(predictions, targets)
    assert values["champion_audit_ap50"] == DETECTION.evaluator.metric(predictions[10:], targets[10:])
    assert values["ap50_95_low"] < values["ap50_95"] < values["ap50_95_high"]
    broken = answers(np.where(np.arange(40)[:, None, None] == 3, np.nan, predictions), 2)
    assert "not finite" in judge(asked[0], broken, *asked[2:]).decision.reasons[0]
    monkeypatch.setattr(coco, "average_precision", lambda *_: np.full((3, 10), 0.5))
    with pytest.raises(BadModel, match="by faster-coco-eval"):
        judge(*asked)


def test_a_figure_that_the_library_does_not_confirm_is_refused() -> None:
    predictions, targets = sample(1)
    evaluation = evaluate(predictions, targets)

    coco.check(evaluation, predictions, targets)
    assert evaluation.audit_accuracy.value == DETECTION.evaluator.metric(predictions, targets)
    first, *others = evaluation.class_ap50
    wrong = replace(evaluation, class_ap50=(replace(first, value=first.value - 1e-6), *others))
    with pytest.raises(BadModel, match="by faster-coco-eval"):
        coco.check(wrong, predictions, targets)
