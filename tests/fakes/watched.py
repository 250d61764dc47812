"""The records of a deployment that has worked for some days: observations, decisions and dead letters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fakes.page import BACKBONE, LEFT
from octospoon.domain.evaluation.audit_boxes import AuditBoxes
from octospoon.domain.evaluation.estimators import proportion
from octospoon.domain.evaluation.training_record import TrainingRecord, image_numbers
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, Pick
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import DriftExample, ModelDecision, Observation, ObservedDay
from octospoon.domain.pool.images import ImageRef
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.domain.training.jobs import JobStatus, TrainingState
from octospoon.domain.training.policy import numbered

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.page import PageWorld

ACCURACY = (0.71, 0.78, 0.83, 0.86)
BROKEN = "broken/00001.png"


def watched(fake: PageWorld) -> None:
    """Fill the records of a world whose pool has images."""
    world = fake.world
    days = [
        ObservedDay(f"1970-01-{day:02d}", 1 + day // 8, proportion(30 + day, 50), _finding(day))
        for day in range(4, 12)
    ]
    key = next(iter(world.pool.table))
    drifted = DriftExample(key, world.pool.table[key].etag, 3.25)
    world.observations.newest = Observation(
        2, 900_000.0, days[-1].accuracy, "1970-01-10", days[-1].finding, (drifted,), tuple(days)
    )
    for job, accuracy in enumerate(ACCURACY, 1):
        metric = fake.task_type.evaluator.metric_name
        world.history.record(decision(job, accuracy, promoted=job != 3, metric=metric))
    world.control.now_state = TrainingState(
        JobStatus.FAILED, numbered(5), 5, 7, reason="MLflow does not answer", begun_at=990_000.0
    )
    world.pool.put_quarantine(ImageRef(BROKEN, "etag", "1", 1), "not_an_image", "no known format")
    letter = {"sent_at": 950_000.0, "tries": 5, "reason": "S3 does not answer", "body": '{"key": "a.png"}'}
    fake.letters = [
        {"queue": "uploads", "dead_letters": 1, "letters": [letter]},
        {"queue": "training", "dead_letters": 0, "letters": []},
    ]


def decision(job: int, accuracy: float, *, promoted: bool, metric: str = "accuracy") -> ModelDecision:
    """Return the decision about the model of a job, with the measures that a job records."""
    estimate = proportion(round(accuracy * 60), 60)
    reasons = ("accuracy is not lower",) if promoted else ("accuracy fell by 0.04, 95 % interval below 0",)
    measures = {
        metric: estimate.value,
        f"{metric}_low": estimate.low,
        f"{metric}_high": estimate.high,
        "labels": 40.0 * job,
        "audit_labels": 10.0 * job,
    }
    if job > 2:
        measures |= {"control_labels": 10.0 * job, f"control_{metric}": accuracy - 0.1}
        measures |= {f"strategy_{metric}": accuracy - 0.05}
        measures |= {"strategy_lead_low": -0.01, "strategy_lead_high": 0.11}
    return ModelDecision(numbered(job), job, promoted, reasons, 100_000.0 * job, measures)


def _finding(day: int) -> DriftResult | None:
    if day < 6:
        return None
    calm = DriftResult(Level.NONE, 120, 0.4, 0.6, 0.9)
    return calm if day < 11 else replace(calm, level=Level.CONFIRMED, components_p=1e-9, discrepancy_p=0.002)


class Head:
    """A linear head that knows the groups of the world.

    Args:
        fake: the world.
        blur: how much its weights are disturbed.
        favoured: a class that it prefers, and by how much.
    """

    def __init__(self, fake: PageWorld, blur: float = 0.0, favoured: tuple[int, float] = (0, 0.0)) -> None:
        rng = np.random.default_rng(1)
        rows = [fake.world.pool.table[key] for key in sorted(fake.world.pool.table)]
        scored = [row.prediction for row in rows if row.prediction is not None]
        groups = np.array([int(row.probabilities.argmax()) for row in scored])
        points = np.stack([row.embedding for row in scored])
        centres = np.stack([points[groups == group].mean(axis=0) for group in range(len(fake.classes))])
        self.weights = (centres.T / 16 + blur * rng.normal(size=centres.T.shape)).astype(np.float32)
        self.bias = (-(centres**2).sum(axis=1) / 32).astype(np.float32)
        self.bias[favoured[0]] += favoured[1]

    def run(self, embedding: np.ndarray) -> np.ndarray:
        logits = embedding @ self.weights + self.bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def judged(
    fake: PageWorld, audit: int = 45, label: Callable[[str], str] = lambda key: key.partition("/")[0]
) -> list[str]:
    """Label audit images, and put two versions with training records into service; return the audit keys.

    Version 2 is perfect on images that it was trained on; its fold heads mistake some for the first class.
    """
    world = fake.world
    keys = _audited(fake, audit, label)
    folds = np.arange(len(keys)) % 5
    images = image_numbers((key, world.pool.table[key].etag) for key in keys)
    weak = Head(fake, favoured=(0, 18.0))
    heads = dict.fromkeys(range(5), (weak.weights, weak.bias))
    record = TrainingRecord.of(images, folds, heads, weak.weights.shape, images[:0])
    for version, name in ((1, ""), (2, world.training_records.put(record))):
        pointer = ChampionPointer.of(
            version, BACKBONE, f"{version}" * 64, f"{version + 4}" * 64, fake.classes, name
        )
        world.champions.versions[version] = pointer
    world.champions.set(world.champions.versions[2])
    fake.heads = {1: Head(fake, blur=0.5), 2: Head(fake)}
    return keys


def _audited(fake: PageWorld, audit: int, label: Callable[[str], str]) -> list[str]:
    """Label audit images; return their keys."""
    world = fake.world
    scored = sorted(key for key, row in world.pool.table.items() if row.prediction is not None)
    keys = scored[:: max(1, len(scored) // max(1, audit))][:audit]
    for number, key in enumerate(keys):
        etag = world.pool.table[key].etag
        given = label(key)
        world.pool.table[key].pick = Pick(key, etag, True, "random", None, 0, 0.1)
        world.labels.upsert(Annotation(key, etag, str(number), number, "1970-01-01T00:00:00Z", "7", given))
        world.resolve(key, Consensus(given, 1.0, 1))
    return keys


def boxed(fake: PageWorld, audit: int = 44) -> list[str]:
    """Label audit images with one object on the left, and put two detectors into service; return the keys.

    Version 2 adds an owl to some images, as the pool's rows have it. Version 1 finds nothing in every third
    image too. No boxes of them are stored for the last image.
    """
    world = fake.world

    def label(key: str) -> str:
        return Boxes().write((Box(key.partition("/")[0], *LEFT),))

    keys = _audited(fake, audit, label)
    images = image_numbers((key, world.pool.table[key].etag) for key in keys[:-1])
    predicted = [fake.predicted(key, fake.classes.index(key.partition("/")[0])) for key in keys[:-1]]
    for version in (1, 2):
        given = [
            np.zeros_like(each) if version == 1 and at % 3 == 0 else each for at, each in enumerate(predicted)
        ]
        record = TrainingRecord.of(images[:0], np.zeros(0, int), {}, (16, len(fake.classes)), images[:0])
        name = world.training_records.put(replace(record, boxes=AuditBoxes.of(images, given)))
        pointer = ChampionPointer.of(version, BACKBONE, f"{version}" * 64, "", fake.classes, name)
        world.champions.versions[version] = pointer
    world.champions.set(world.champions.versions[2])
    return keys
