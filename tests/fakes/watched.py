"""The records of a deployment that has worked for some days: observations, decisions and dead letters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from octospoon.domain.evaluation.estimators import proportion
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import DriftExample, ModelDecision, Observation, ObservedDay
from octospoon.domain.pool.images import ImageRef
from octospoon.domain.training.jobs import JobStatus, TrainingState
from octospoon.domain.training.policy import numbered

if TYPE_CHECKING:
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
        world.history.record(decision(job, accuracy, promoted=job != 3))
    world.control.now_state = TrainingState(
        JobStatus.FAILED, numbered(5), 5, 7, reason="MLflow does not answer", begun_at=990_000.0
    )
    world.pool.put_quarantine(ImageRef(BROKEN, "etag", "1", 1), "not_an_image", "no known format")
    letter = {"sent_at": 950_000.0, "tries": 5, "reason": "S3 does not answer", "body": '{"key": "a.png"}'}
    fake.letters = [
        {"queue": "uploads", "dead_letters": 1, "letters": [letter]},
        {"queue": "training", "dead_letters": 0, "letters": []},
    ]


def decision(job: int, accuracy: float, *, promoted: bool) -> ModelDecision:
    """Return the decision about the model of a job, with the measures that a job records."""
    estimate = proportion(round(accuracy * 60), 60)
    reasons = ("accuracy is not lower",) if promoted else ("accuracy fell by 0.04, 95 % interval below 0",)
    measures = {
        "accuracy": estimate.value,
        "accuracy_low": estimate.low,
        "accuracy_high": estimate.high,
        "labels": 40.0 * job,
        "audit_labels": 10.0 * job,
    }
    return ModelDecision(numbered(job), job, promoted, reasons, 100_000.0 * job, measures)


def _finding(day: int) -> DriftResult | None:
    if day < 6:
        return None
    calm = DriftResult(Level.NONE, 120, 0.4, 0.6, 0.9)
    return calm if day < 11 else replace(calm, level=Level.CONFIRMED, components_p=1e-9, discrepancy_p=0.002)
