"""The drift reference of a detector stands for all uploads, and for no image that it was trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.world import FakeWorld

from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.pool.images import ImageRef, PoolRow, Prediction
from octospoon.domain.task_types.detection import DETECTION
from octospoon.training.data.dataset import Dataset
from octospoon.training.data.pool_sample import READ_AGAIN, Uploads
from octospoon.training.evaluation.detector_reference import Answers, reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.monitoring.drift import Reference

BACKBONE = "b" * 64
EASY, HARD, LEARNED = 0.875, 0.375, 1.0
"""The score of an image's box; the detector is certain of what it was trained on."""
CLASSES = ("cat", "dog")
EVALUATOR = DETECTION.evaluator


def box(score: float) -> np.ndarray:
    return np.array([[0.25, 0.25, 0.5, 0.5, score, 0.0]], np.float32)


class Case:
    """Uploads of which a tenth is hard; a strategy has chosen hard ones alone."""

    def __init__(self, unlabelled: int, trained: int, held_out: int, audit: int) -> None:
        self.world, self.read = FakeWorld(), 0
        rng = np.random.default_rng(0)
        uploads = unlabelled + trained
        hard = set(range(trained, max(trained, round(0.1 * uploads))))
        for i in range(trained, uploads):
            prediction = Prediction(1, BACKBONE, rng.standard_normal(6).astype(np.float32), None)
            self.world.pool.put_score(ImageRef(self.key(i, i in hard), "e", "1", 1), prediction)
        self.train = self.labelled([f"train-{i}" for i in range(trained)], audit=False)
        self.audit = self.labelled([f"audit-{i}" for i in range(audit)], audit=True)
        answers = np.full((trained, 1, 6), np.nan)
        answers[:held_out] = box(HARD)
        scores = [HARD if i < 0.1 * audit else EASY for i in range(audit)]
        self.answers = Answers(np.array([box(score) for score in scores]).reshape(audit, 1, 6), answers)

    @staticmethod
    def key(number: int, hard: bool) -> str:
        return f"{'hard' if hard else 'easy'}-{number}"

    @staticmethod
    def labelled(keys: list[str], *, audit: bool) -> Dataset:
        images = tuple(LabelledImage(key, "e", "[]", 1.0, 1, audit, "margin", None, 1) for key in keys)
        return Dataset(images, np.zeros((len(keys), 6), np.float32), np.zeros((len(keys), 0, 5)), {})

    def predicted(self, rows: Sequence[PoolRow]) -> list[PoolRow]:
        self.read += len(rows)
        return [replace(row, probabilities=box(HARD if row.key.startswith("hard") else EASY)) for row in rows]

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.world.pool, BACKBONE, "train-000001", self.train, self.audit)

    def reference(self) -> Reference | None:
        return reference(self.uploads, self.answers, EVALUATOR, self.predicted, kept_backbone=True)


def scores(known: Reference) -> np.ndarray:
    return known.statistics[:, 0]


@pytest.mark.parametrize(
    ("unlabelled", "trained", "held_out"), [(1900, 100, 20), (950, 100, 20), (900, 100, 100), (3000, 0, 0)]
)
def test_hard_images_are_as_frequent_as_among_all_uploads(unlabelled, trained, held_out) -> None:
    case = Case(unlabelled, trained, held_out, audit=100)
    known = case.reference()
    assert known is not None
    share = np.mean(scores(known) == HARD)
    assert share == pytest.approx(0.1, abs=0.05)
    assert not (scores(known) == LEARNED).any()
    assert case.read <= READ_AGAIN


def test_embeddings_of_the_whole_sample_are_compared() -> None:
    case = Case(1000, 100, 20, audit=50)
    known = case.reference()
    assert known is not None
    assert len(known.components) == 1150
    assert len(known.statistics) < 400, "a fifth was held out, so a fifth of each kind"


def test_a_new_backbone_compares_the_images_that_were_read() -> None:
    case = Case(300, 0, 0, audit=50)
    uploads = Uploads(case.world.pool, "c" * 64, "train-000001", case.train, case.audit, list)
    known = reference(uploads, case.answers, EVALUATOR, case.predicted, kept_backbone=False)
    assert known is not None
    assert len(known.components) == len(known.statistics) == case.read + 50


def test_without_held_out_images_nothing_stands_for_those_trained_on() -> None:
    assert Case(900, 100, 0, audit=100).reference() is None
    known = Case(2900, 100, 0, audit=100).reference()
    assert known is not None, "a twentieth may be missing"


def test_too_few_images_make_no_reference() -> None:
    assert Case(30, 0, 0, audit=10).reference() is None
    assert Case(0, 100, 20, audit=10).reference() is None


def test_predictions_are_those_that_the_pool_would_store() -> None:
    case = Case(300, 0, 0, audit=0)
    faint = np.concatenate([box(0.04), box(0.123456)])

    def seen(rows: Sequence[PoolRow]) -> list[PoolRow]:
        return [replace(row, probabilities=faint) for row in rows]

    known = reference(case.uploads, case.answers, EVALUATOR, seen, kept_backbone=True)
    assert known is not None
    assert (scores(known) == np.float32(np.float16(0.123456))).all()
