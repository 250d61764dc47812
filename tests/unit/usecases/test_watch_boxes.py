"""A detector is watched by the boxes that it stored: drift, AP50 on audit labels, and the floor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.world import FakeWorld

from octospoon.domain.batch import drift_share
from octospoon.domain.evaluation.audit_boxes import AuditBoxes
from octospoon.domain.evaluation.training_record import EVERY_HEAD, TrainingRecord, image_numbers
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, Pick
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring import drift
from octospoon.domain.monitoring.drift import Level
from octospoon.domain.pool.images import ImageRef, Prediction, State
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.usecases.judge_audit import JudgeAudit
from octospoon.usecases.live_evaluation import EvaluateLive
from octospoon.usecases.watch import WINDOW, Watch

if TYPE_CHECKING:
    from octospoon.usecases.rescore import Head

DAY = 24 * 3600.0
BACKBONE = "b" * 64
CLASSES = ("cat", "dog", "owl")
POINTER = ChampionPointer.of(3, BACKBONE, "s" * 64, classes=CLASSES)
SHARES = (0.6, 0.3, 0.1)
EVALUATOR = DETECTION.evaluator


class World(FakeWorld):
    """Uploads with one to four objects, and a detector that finds nine of ten."""

    def __init__(self, floor: float = 0.0) -> None:
        super().__init__()
        self.pointer, self.uploaded, self.now = POINTER, 0, ClassHistory(CLASSES)
        self.rng, self.pool.task_type = np.random.default_rng(0), DETECTION
        self.evaluate = EvaluateLive(
            self.pool, self.labels, self.training_records, DETECTION, lambda: self.now
        )
        self.watch = Watch(
            lambda: (self.pointer, None),
            self.evaluate,
            self.pool,
            self.references,
            self.observations,
            self.control,
            self.clock,
            DETECTION,
            floor,
        )
        seen = [self.seen() for _ in range(900)]
        known = drift.reference(
            np.stack([embedding for embedding, _ in seen]),
            EVALUATOR.statistics(np.stack([boxes for _, boxes in seen])),
        )
        self.references.put(POINTER.sha256, known)

    def seen(self, shift: float = 0.0, more: int = 1, shares: tuple[float, ...] = SHARES) -> tuple:
        """Return an embedding, and the boxes of an image's objects: [K, 4 + C]."""
        boxes = np.zeros((10, 4 + len(CLASSES)), np.float32)
        for at in range(more * int(self.rng.integers(1, 5))):
            if self.rng.random() < 0.9:
                boxes[at, :4] = [at / 10, 0.1, at / 10 + 0.1, 0.4]
                boxes[at, 4 + self.rng.choice(len(CLASSES), p=shares)] = self.rng.uniform(0.4, 1.0)
        return (self.rng.standard_normal(8) + shift).astype(np.float32), boxes

    def upload(self, count: int, version: int = 3, **change) -> list[str]:
        keys = []
        for _ in range(count):
            embedding, boxes = self.seen(**change)
            key = f"{self.uploaded:06d}.png"
            self.uploaded += 1
            self.pool.put_score(ImageRef(key, "e", "1", 1), Prediction(version, BACKBONE, embedding, boxes))
            keys.append(key)
        return keys

    def label(self, keys: list[str], *, right: float, audit: bool = True) -> None:
        """Label images with the detector's boxes; those of the last ones are elsewhere."""
        for i, key in enumerate(keys):
            given = DETECTION.predicted(self.pool.table[key].prediction.probabilities[None], CLASSES)[0].label
            if i >= right * len(keys):
                given = Boxes().write((Box("cat", 0.0, 0.6, 0.1, 0.9),))
            self.pool.claim(Pick(key, "e", audit, "random", None, i, None), 1, 1e9)
            self.labels.upsert(Annotation(key, "e", key, i, "2026-01-01", "1", given))
            self.resolve(key, Consensus(given, 1.0, 1))

    def next_day(self):
        self.clock.time += DAY
        return self.watch()


@pytest.fixture(name="world")
def made() -> World:
    return World()


def test_days_without_a_change_raise_no_alarm(world) -> None:
    world.upload(600)
    report = world.next_day()
    assert (report.finding.level, report.finding.images) == (Level.NONE, WINDOW)
    assert world.watch().finding is None, "a day is tested once"


@pytest.mark.parametrize(
    ("change", "test"),
    [
        ({"shares": (0.9, 0.0, 0.1)}, "classes_p"),
        ({"more": 2}, "probabilities_p"),
        ({"shift": 0.7}, "components_p"),
    ],
    ids=["a class disappears", "twice as many objects", "other images"],
)
def test_a_change_is_noticed_on_the_first_day(world, change, test) -> None:
    world.upload(600, **change)
    report = world.next_day()
    assert report.finding.level is not Level.NONE
    assert getattr(report.finding, test) < 1e-6
    world.upload(600, **change)
    report = world.next_day()
    assert report.finding.level is Level.CONFIRMED
    assert report.asked == "drift confirmed on 500 uploads"


def test_confirmed_drift_keeps_the_uploads_that_differ_most(world) -> None:
    world.upload(300)
    new = world.upload(200, shift=2.0)
    world.label(new[:20], right=1.0)
    assert world.next_day().finding.level is Level.CONFIRMED
    drifted = world.observations.read().drifted
    assert len(drifted) == drift_share.MOST
    assert all(world.pool.table[example.key].state is State.SCORED for example in drifted)
    assert np.mean([example.key in new for example in drifted]) >= 0.9


def test_before_the_first_detector_nothing_is_watched(world) -> None:
    world.pointer = ChampionPointer.of(0, BACKBONE, "s" * 64)
    world.upload(600)
    report = world.next_day()
    assert (report.version, report.evaluation, report.finding) == (-1, None, None)
    assert report.reason == "the model in service has no classes yet"


def test_a_detector_that_no_job_made_has_no_reference(world) -> None:
    world.pointer = replace(POINTER, version=4, sha256="t" * 64)
    assert "this model has no drift reference" in world.next_day().reason


def test_days_that_an_older_detector_scored_are_not_tested(world) -> None:
    world.upload(300, version=2)
    world.upload(100, version=3)
    reason = world.next_day().reason
    assert reason.startswith("0 uploads on the days not tested yet, 100 are needed; on ")
    assert "only 100 of 400 uploads were scored by version 3" in reason
    world.upload(600)
    report = world.next_day()
    assert (report.finding.level, report.finding.images) == (Level.NONE, WINDOW)


def test_the_metric_is_ap50_on_new_audit_labels(world) -> None:
    world.label(world.upload(60), right=1.0)
    world.label(world.upload(200), right=0.0, audit=False)
    evaluated = world.evaluate(POINTER, None)
    assert evaluated.evaluation.accuracy.value == 1.0
    assert evaluated.evaluation.accuracy.low < 1.0
    assert evaluated.naive.labels == 0, "a detector is not run again on what it learned"
    assert world.watch().evaluation.metrics()["ap50"] == 1.0
    assert world.observations.read().accuracy == evaluated.evaluation.accuracy


def test_ap50_shown_to_be_below_the_floor_asks_for_training() -> None:
    world = World(floor=0.9)
    world.label(world.upload(100), right=0.5)
    report = world.watch()
    assert report.evaluation.accuracy.high < 0.9
    assert report.asked.startswith(f"AP50 {report.evaluation.accuracy.value:.3f} (at most ")
    assert world.control.state().requested == report.asked


def recorded(world: World, keys: list[str], learned: list[str]) -> ChampionPointer:
    """Store a record that has the boxes of audit images, of a detector that learned from others."""
    numbers = image_numbers((key, "e") for key in learned)
    record = TrainingRecord.of(numbers, np.full(len(numbers), EVERY_HEAD), {}, (8, 3), np.zeros(0, np.uint64))
    boxes = [world.pool.table[key].prediction.probabilities for key in keys]
    kept = AuditBoxes.of(image_numbers((key, "e") for key in keys), boxes)
    return replace(POINTER, record_sha256=world.training_records.put(replace(record, boxes=kept)))


def test_audit_labels_from_before_the_detector_count_by_its_record(world) -> None:
    old, learned, new, between = (world.upload(count) for count in (40, 10, 30, 5))
    for keys in (old, learned, new, between):
        world.label(keys, right=1.0)
    world.pointer = recorded(world, old, learned)
    for key in (*old, *learned, *between):
        row = world.pool.table[key]
        row.prediction = replace(row.prediction, model_version=2, probabilities=None)
    seen = world.evaluate(world.pointer, None)
    assert seen.evaluation.accuracy.labels == 70
    assert (seen.left_out, seen.unpredicted) == (10, 5)


def test_classes_of_today_are_those_that_are_measured(world) -> None:
    world.label(world.upload(60), right=1.0)
    world.now = ClassHistory(CLASSES).rename("owl", "bird", 1.0)
    evaluated = world.evaluate(POINTER, None)
    assert evaluated.classes == ("cat", "dog", "bird")
    assert len(evaluated.evaluation.class_ap50) == 3


def test_what_few_labels_leave_open_is_stored_as_numbers(world) -> None:
    world.label(world.upload(1), right=1.0)
    world.watch()
    seen = world.observations.read().accuracy
    assert (seen.value, seen.low, seen.high, seen.labels) == (1.0, 0.0, 1.0, 1)


def test_images_without_objects_show_no_metric(world) -> None:
    keys = world.upload(3)
    world.label(keys, right=1.0)
    for key in keys:
        world.pool.table[key].label = "[]"
    report = world.watch()
    assert np.isnan(report.evaluation.accuracy.value)
    assert world.observations.read().accuracy is None


def no_head(pointer: ChampionPointer) -> Head:
    raise AssertionError(f"version {pointer.version} has no head")


def test_versions_are_judged_image_by_image_by_their_boxes(world) -> None:
    old, new = world.upload(20), world.upload(20)
    world.label(old, right=1.0)
    world.label(new, right=0.5)
    older = replace(recorded(world, old, []), version=2, sha256="r" * 64)
    judge = JudgeAudit(
        world.pool, world.labels, world.training_records, no_head, DETECTION, lambda: world.now
    )

    images, (current, before), _ = judge([POINTER, older])

    assert [image.key for image in images] == [*old, *new]
    assert current.judged.all(), "the rows have boxes of this version"
    assert current.right.tolist() == [True] * 30 + [False] * 10
    assert before.judged.tolist() == [True] * 20 + [False] * 20, "its record has boxes of the old images"
    assert before.right[:20].all()
    read = Boxes().read
    for one, other in zip(before.predicted[:20], current.predicted[:20], strict=True):
        assert [box.name for box in read(one)] == [box.name for box in read(other)]
