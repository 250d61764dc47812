"""A trained detector and the one in service read the audit images, and the gate compares them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.images import FakeImages
from unit.training.stack import World

from octospoon.domain.errors import BadImage
from octospoon.domain.evaluation.gate import Rules
from octospoon.domain.evaluation.training_record import EVERY_HEAD, TrainingRecord, image_numbers
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.pool.framing import Framed
from octospoon.domain.pool.images import Prediction
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.domain.training.jobs import TrainedModel
from octospoon.training.data.dataset import Dataset
from octospoon.training.evaluation.challenger import EvaluateChallenger
from octospoon.training.evaluation.champion import Champion
from octospoon.training.evaluation.detector import JudgeDetector

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.domain.pool.framing import Region

CLASSES = ("cat", "dog")
COUNT = 40
UNREADABLE = 3


class Detector:
    """Sees the object of each image, except in a share of them; the first byte of a file is its number.

    Args:
        misses: one image in this many is missed.
        version: of the model.
        boxes: the most boxes; 0 for a model that predicts none.
    """

    def __init__(self, misses: int, version: int = 2, boxes: int = 2) -> None:
        self.spec = replace(ModelSpec(CLASSES, 4, 4, 4, "squash", "b" * 64, version), boxes=boxes)
        self.generation = version
        self._misses = misses

    def preprocess(self, data: bytes) -> Framed:
        if data[0] == UNREADABLE:
            raise BadImage("truncated", "cut off")
        return Framed(np.full((4, 4, 3), data[0], np.uint8))

    def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
        rows = np.zeros((2, 6), np.float32)
        number = int(images[0, 0, 0, 0])
        if (number + 1) % self._misses:
            rows[0] = [*place(number)[1:], *(0.9 * (name == place(number).name) for name in CLASSES)]
        predicted = rows if self.spec.boxes else np.full(2, 0.5, np.float32)
        return [Prediction(2, "b" * 64, np.zeros(4, np.float32), predicted)]


def place(number: int) -> Box:
    return Box(CLASSES[number % 2], number / 100, 0.0, number / 100 + 0.25, 0.5)


@pytest.fixture
def audit() -> Dataset:
    images = tuple(
        LabelledImage(f"{at:02d}.png", "e", Boxes().write((place(at),)), 1.0, 1, True, "audit", None, 1)
        for at in range(COUNT)
    )
    labels = DETECTION.evaluator.targets([image.label for image in images], CLASSES)
    return Dataset(images, np.zeros((COUNT, 4), np.float32), labels, {})


@pytest.fixture
def judge_detector() -> JudgeDetector:
    images = FakeImages({f"{at:02d}.png": (bytes([at]), "e") for at in range(COUNT)})
    images.objects["07.png"] = (bytes([7]), "other bytes")
    return JudgeDetector(images, DETECTION, ClassHistory(CLASSES), Rules())


def in_service(detector: Detector, record: TrainingRecord | None = None, why: str = "") -> Champion:
    return Champion(None, None, b"model", detector, record, why)


def test_both_models_judge_the_images_that_can_be_read(judge_detector: JudgeDetector, audit: Dataset) -> None:
    judged, read = judge_detector(Detector(100), 1000, in_service(Detector(4)), audit)

    assert judged.decision.promote
    assert "AP50 1.000 against 0.7" in judged.decision.reasons[0]
    readable = [at for at in range(COUNT) if at not in (UNREADABLE, 7)]
    assert [image.key for image in read.images] == [f"{at:02d}.png" for at in readable]
    assert judged.metrics(read.labels)["champion_audit_ap50"] < judged.metrics(read.labels)["audit_ap50"] == 1
    worse, _ = judge_detector(Detector(4), 1000, in_service(Detector(100)), audit)
    assert "worse than the model in service" in worse.decision.reasons[0]


def test_images_that_the_champion_learned_from_count_for_neither(
    judge_detector: JudgeDetector, audit: Dataset
) -> None:
    learned = [image for image in audit.images if (int(image.key[:2]) + 1) % 4 == 0]
    numbers = np.sort(image_numbers((image.key, image.etag) for image in learned))
    nothing = np.zeros(0, np.float32)
    record = TrainingRecord(
        numbers,
        np.full(len(numbers), EVERY_HEAD, np.int8),
        np.zeros(0, np.int8),
        nothing.reshape(0, 4, 2),
        nothing.reshape(0, 2),
        np.zeros(0, np.uint64),
    )

    judged, _ = judge_detector(Detector(100), 1000, in_service(Detector(4), record), audit)

    assert "AP50 1.000 against 1.000 on 30 audit images" in judged.decision.reasons[0]


def test_a_model_without_boxes_is_no_rival(judge_detector: JudgeDetector, audit: Dataset) -> None:
    judged, _ = judge_detector(Detector(100), 1000, in_service(Detector(4, boxes=0)), audit)

    assert judged.decision.reasons == ("the first model with classes: nothing to compare it with",)
    assert judged.champion is None


def test_a_champion_that_cannot_be_measured_stays(judge_detector: JudgeDetector, audit: Dataset) -> None:
    judged, _ = judge_detector(Detector(100), 1000, in_service(Detector(4), why="its record is lost"), audit)

    assert (judged.decision.promote, judged.decision.reasons) == (False, ("its record is lost",))


def test_a_job_judges_a_detector_so(judge_detector: JudgeDetector, audit: Dataset, tmp_path: Path) -> None:
    """Images that a model cannot read leave the data of the job, with their rows."""
    other = replace(audit.images[0], key="other.png", audit=False)
    dataset = replace(
        audit,
        images=(*audit.images, other),
        embeddings=np.zeros((COUNT + 1, 4), np.float32),
        labels=np.concatenate([audit.labels, audit.labels[:1]]),
        dropped={"gone": 2},
    )
    held_out = np.arange(COUNT + 1, dtype=np.float64)
    record = TrainingRecord.of(
        np.zeros(0, np.uint64), np.zeros(0, np.int64), {}, (4, 2), np.zeros(0, np.uint64)
    )
    trained = TrainedModel(b"file", b"", held_out, record, {})
    world = World()
    ports = replace(
        world.ports,
        open_model=lambda _: Detector(100),
        images=judge_detector.images,
        task_type=DETECTION,
        class_history=lambda: ClassHistory(CLASSES),
        rules=Rules(),
    )

    evaluated = EvaluateChallenger(ports, "train-000001", in_service(Detector(4)), tmp_path)(trained, dataset)

    assert evaluated.judged.decision.promote
    assert len(evaluated.dataset) == COUNT - 1
    assert evaluated.dataset.dropped == {"gone": 2, "not-read-again": 2}
    assert not {float(UNREADABLE), 7.0} & set(evaluated.trained.held_out.tolist())
    assert len(evaluated.trained.held_out) == COUNT - 1
    assert len(evaluated.judged.probabilities) == len(evaluated.dataset.part(audit=True))
