from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes.world import FakeWorld

from octospoon.domain.batch import drift_share
from octospoon.domain.evaluation.training_record import TrainingRecord, image_numbers
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, Pick
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring import drift
from octospoon.domain.monitoring.drift import Level
from octospoon.domain.pool.images import ImageRef, Prediction, State
from octospoon.domain.pool.keys import day
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.usecases.live_evaluation import EvaluateLive
from octospoon.usecases.unseen import Unseen
from octospoon.usecases.watch import LEAST, WINDOW, Watch

DAY = 24 * 3600.0
BACKBONE = "b" * 64
CLASSES = ("left", "right")
POINTER = ChampionPointer(3, "s" * 64, "k", BACKBONE, "h", "h" * 64, CLASSES)


class LinearHead:
    """A head whose probabilities are a logistic function of the first coordinate."""

    def run(self, embedding):
        right = 1 / (1 + np.exp(-2 * embedding[:, 0]))
        return np.stack([1 - right, right], axis=1).astype(np.float32)


class World(FakeWorld):
    def __init__(self, floor: float = 0.0) -> None:
        super().__init__()
        self.pointer, self.head, self.uploaded = POINTER, LinearHead(), 0
        self.rng = np.random.default_rng(0)
        self.evaluate = EvaluateLive(self.pool, self.labels, self.training_records, CLASSIFICATION)
        self.watch = Watch(
            lambda: (self.pointer, self.head),
            self.evaluate,
            self.pool,
            self.references,
            self.observations,
            self.control,
            self.clock,
            CLASSIFICATION,
            floor,
        )
        known = self.rng.standard_normal((1500, 8)).astype(np.float32)
        self.references.put(POINTER.sha256, drift.reference(known, self.head.run(known)))

    def upload(self, count: int, shift: float = 0.0) -> list[str]:
        keys = []
        for embedding in self.rng.standard_normal((count, 8)).astype(np.float32) + shift:
            key = f"{self.uploaded:06d}.png"
            self.uploaded += 1
            prediction = Prediction(3, BACKBONE, embedding, self.head.run(embedding[None])[0])
            self.pool.put_score(ImageRef(key, "e", "1", 1), prediction)
            keys.append(key)
        return keys

    def label(self, keys: list[str], *, right: float, audit: bool = True) -> None:
        for i, key in enumerate(keys):
            guess = int(self.pool.table[key].prediction.probabilities.argmax())
            name = CLASSES[guess if i < right * len(keys) else 1 - guess]
            self.pool.claim(Pick(key, "e", audit, "random", None, i, None), 1, 1e9)
            self.labels.upsert(Annotation(key, "e", key, i, "2026-01-01", "1", name))
            self.resolve(key, Consensus(name, 1.0, 1))


@pytest.fixture(name="world")
def made() -> World:
    return World()


def test_a_days_uploads_are_judged_once_on_the_day_after(world):
    world.upload(600)
    assert "0 uploads on the days not tested yet" in world.watch().reason
    world.clock.time += DAY
    report = world.watch()
    assert (report.finding.level, report.finding.images) == (Level.NONE, WINDOW)
    assert world.watch().finding is None
    assert world.observations.read().finding == report.finding
    world.upload(600, shift=0.7)
    world.clock.time += DAY
    report = world.watch()
    assert report.finding.level is Level.CONFIRMED
    assert report.asked == world.control.state().requested == "drift confirmed on 500 uploads"
    assert world.observations.read().judged_until == day(world.clock.now() - DAY)


def test_confirmed_drift_keeps_its_most_drifted_images_until_it_ends(world):
    world.upload(300)
    new = world.upload(200, shift=2.0)
    for i, key in enumerate(new[:10]):
        world.pool.claim(Pick(key, "e", True, "random", None, i, None), 1, 1e9)
    world.clock.time += DAY
    assert world.watch().finding.level is Level.CONFIRMED
    drifted = world.observations.read().drifted
    assert len(drifted) == drift_share.MOST
    scores = [example.score for example in drifted]
    assert scores == sorted(scores, reverse=True)
    assert all(world.pool.table[example.key].state is State.SCORED for example in drifted)
    assert np.mean([example.key in new for example in drifted]) >= 0.9
    world.watch()
    assert world.observations.read().drifted == drifted, "nothing was judged anew"
    world.upload(500)
    world.clock.time += DAY
    assert world.watch().finding.level is Level.NONE
    assert world.observations.read().drifted == ()


def test_a_suspicion_sends_nobody_anything(world):
    known = world.references.get(POINTER.sha256)
    rows = list(world.pool.rows(world.upload(150, shift=2.0)).values())
    for level in Level:
        examples = drift_share.examples(known, rows, drift.DriftResult(level, 150, 0.0, 0.0, 0.0))
        assert bool(examples) == (level is Level.CONFIRMED)


def test_a_day_is_remembered_once_and_outlives_its_model(world):
    world.upload(600, shift=0.7)
    world.clock.time += DAY
    first = world.watch()
    world.label(world.upload(50), right=0.8)
    world.clock.time += 3600
    world.watch()
    (entry,) = world.observations.read().history
    assert (entry.day, entry.version, entry.finding) == (day(world.clock.now()), 3, first.finding)
    assert entry.accuracy.labels == 50
    world.pointer = replace(POINTER, version=4, sha256="t" * 64)
    world.watch()
    newest = world.observations.read()
    assert (newest.finding, newest.drifted) == (None, ())
    history = [(entry.version, entry.finding) for entry in newest.history]
    assert history == [(3, first.finding), (4, None)]


def test_thin_days_are_judged_together(world):
    for _ in range(3):
        world.upload(LEAST // 2)
        world.clock.time += DAY
        report = world.watch()
    assert report.finding is None
    assert "50 uploads" in report.reason, "two of the three days were judged already"
    assert world.observations.read().finding.images == LEAST


def test_new_model_is_judged_by_its_own_reference_at_once(world):
    world.upload(200)
    world.clock.time += DAY
    assert world.watch().finding
    world.pointer = replace(POINTER, version=4, sha256="t" * 64)
    assert "has no drift reference" in world.watch().reason
    assert world.observations.read().version == 4
    world.references.put("t" * 64, world.references.get(POINTER.sha256))
    assert world.watch().finding


def test_before_there_are_classes_nothing_is_watched(world):
    world.pointer, world.head = ChampionPointer(0, "s" * 64, "k", BACKBONE), None
    report = world.watch()
    assert (report.version, report.evaluation) == (-1, None)
    assert "no classes" in report.reason


def test_what_is_read_does_not_grow_with_the_pool(world):
    read = []
    rows = world.pool.rows
    world.pool.rows = lambda keys: read.append(len(keys)) or rows(keys)
    world.upload(4000)
    world.clock.time += DAY
    world.watch()
    assert sum(read) <= WINDOW + 2000


def test_accuracy_shown_to_be_below_the_floor_asks_for_training():
    world = World(floor=0.9)
    world.label(world.upload(100), right=0.6)
    report = world.watch()
    assert report.evaluation.audit_accuracy.value == 0.6
    assert "is below 0.9" in world.control.state().requested
    assert world.observations.read().accuracy == report.evaluation.accuracy
    world = World(floor=0.9)
    assert world.watch().asked == "", "without labels nothing is shown"
    assert world.observations.read().accuracy is None


def test_only_audit_labels_count_and_all_labels_are_naive(world):
    world.label(world.upload(40), right=0.5, audit=True)
    world.label(world.upload(160), right=1.0, audit=False)
    evaluated = world.evaluate(POINTER, world.head)
    assert evaluated.evaluation.audit_accuracy.value == 0.5
    assert evaluated.evaluation.audit_accuracy.labels == 40
    assert evaluated.naive.value == 0.9
    assert evaluated.evaluation.accuracy == evaluated.evaluation.audit_accuracy, "no pool is left to help"


def test_the_pool_helps_where_it_resembles_the_audit_share(world):
    keys = world.upload(2500)
    world.label(keys[:100], right=0.8)
    evaluated = world.evaluate(POINTER, world.head).evaluation
    assert evaluated.accuracy != evaluated.audit_accuracy
    world.label(keys[100:400], right=1.0, audit=False)  # more than a twentieth was taken out
    evaluated = world.evaluate(POINTER, world.head).evaluation
    assert evaluated.accuracy == evaluated.audit_accuracy


def test_a_window_of_time_measures_its_own_uploads_alone(world):
    world.label(world.upload(50), right=0.2)
    world.clock.time += 40 * DAY
    world.label(world.upload(30), right=0.9)
    since = day(world.clock.now() - 30 * DAY)
    evaluated = world.evaluate(POINTER, world.head, since).evaluation
    assert (evaluated.accuracy.labels, evaluated.accuracy.value) == (30, 0.9)


def test_labels_of_other_bytes_classes_or_backbones_do_not_count(world):
    keys = world.upload(30)
    world.label(keys, right=1.0)
    world.pool.table[keys[0]].label = "centre"
    world.pool.table[keys[1]].prediction = replace(world.pool.table[keys[1]].prediction, backbone="c" * 64)
    assert world.evaluate(POINTER, world.head).evaluation.accuracy.labels == 28


def trained(world: World, keys: list[str], *, heads: int = 5) -> str:
    """Store a record of these images, whose fold heads answer the opposite of the served head."""
    layer = np.zeros((8, 2), np.float32)
    layer[0] = (1, -1)
    images = image_numbers((key, "e") for key in keys)
    layers = {fold: (layer, np.zeros(2, np.float32)) for fold in range(heads)}
    record = TrainingRecord.of(images, np.arange(len(keys)) % 5, layers, (8, 2), images[:0])
    return world.training_records.put(record)


def test_fold_heads_judge_old_labels_and_the_model_newer_ones(world):
    keys = world.upload(100)
    world.label(keys, right=1.0)
    pointer = replace(POINTER, record_sha256=trained(world, keys[:60]))
    seen = world.evaluate(pointer, world.head)
    assert seen.evaluation.audit_accuracy.value == 0.4
    assert (seen.fold_heads, seen.left_out) == (60, 0)
    assert seen.naive.value == 1.0
    pointer = replace(POINTER, record_sha256=trained(world, keys[:60], heads=4))
    seen = world.evaluate(pointer, world.head)
    assert (seen.fold_heads, seen.left_out) == (48, 12)
    assert seen.evaluation.audit_accuracy.labels == 88


def test_confidence_on_the_pool_is_that_of_the_judging_heads(world):
    keys = world.upload(60)
    world.label(keys, right=0.5)
    images = [image for image in world.labels.labelled() if image.audit]
    pointer = replace(POINTER, record_sha256=trained(world, keys[:30]))
    model = Unseen(world.head, world.training_records.get(pointer))
    pool = world.rng.standard_normal((50, 8)).astype(np.float32)
    record = world.training_records.get(pointer)
    each = [world.head.run(pool).max(axis=1), *(record.run(fold, pool).max(axis=1) for fold in range(5))]
    confidence = model.confidence(images, pool, CLASSIFICATION.evaluator.confidence)
    assert np.allclose(confidence, np.average(each, axis=0, weights=[30, 6, 6, 6, 6, 6]))


def test_without_its_record_a_model_has_no_accuracy():
    world = World(floor=0.9)
    world.label(world.upload(200), right=0.5)
    world.pointer = replace(POINTER, record_sha256="f" * 64)
    world.clock.time += DAY
    report = world.watch()
    assert report.evaluation is None
    assert "training record" in report.unmeasurable
    assert report.asked == ""
    assert report.finding is not None
    assert world.observations.read().accuracy is None
