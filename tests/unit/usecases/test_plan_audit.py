from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.world import FakeWorld

from octospoon.domain.evaluation.estimators import Estimate
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Pick, Round
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import ModelDecision, Observation
from octospoon.domain.training.jobs import TrainingState
from octospoon.domain.training.policy import numbered
from octospoon.usecases.plan_audit import PlanAudit

WHOLE, LEAST = 10, 2
VERSION = 3


class World(FakeWorld):
    """A model of job 2 that was measured on 100 audit labels."""

    def __init__(self, half: float = 0.05) -> None:
        super().__init__()
        self.control.now_state = TrainingState(jobs=2)
        self.decided(2, half, 100)
        self.plan = PlanAudit(
            self.control,
            self.history,
            self.observations,
            self.rounds,
            self.pool,
            target=0.05,
            metric="accuracy",
        )

    def decided(self, job: int, half: float, labels: int) -> None:
        measures = {"accuracy_low": 0.9 - half, "accuracy_high": 0.9 + half, "audit_labels": float(labels)}
        self.history.record(ModelDecision(numbered(job), job, True, (), float(job), measures))

    def observed(self, half: float, labels: int, level: Level = Level.NONE, version: int = VERSION) -> None:
        finding = DriftResult(level, 200, 0.5, 0.6, 0.7)
        accuracy = Estimate(0.9, 0.9 - half, 0.9 + half, labels)
        self.observations.save(Observation(version, 1.0, accuracy, "2026-01-31", finding))

    def drawn(self, number: int, audit: int, jobs: int) -> None:
        """Store a round, and export its images."""
        picks = []
        for i in range(audit + 5):
            key = f"{number}-{i}.png"
            self.export(key, "e", task=100 * number + i)
            picks.append(Pick(key, "e", i < audit, "random", None, i, None))
        self.rounds.begin(Round(number, "2026-01-31", VERSION, tuple(picks), jobs))

    def share(self, whole: int = WHOLE) -> int:
        return self.plan(whole, VERSION).images


def test_the_share_falls_once_the_target_is_reached() -> None:
    assert World(half=0.07).share() == WHOLE
    assert World(half=0.05).share() == LEAST
    assert World(half=0.051).share() == 5, "as many as are missing"


def test_without_a_target_the_share_never_changes() -> None:
    world = World(half=0.001)
    world.plan = replace(world.plan, target=0.0)

    assert world.plan(WHOLE, VERSION).images == WHOLE
    assert world.plan(WHOLE, VERSION).reason == ""


def test_no_audit_share_stays_none() -> None:
    assert World().share(0) == 0


@pytest.mark.parametrize("decided", [False, True])
def test_before_a_measurement_the_share_is_whole(decided: bool) -> None:
    world = World()
    world.history.decisions.clear()
    if decided:
        world.history.record(ModelDecision(numbered(2), 2, False, (), 2.0, {"audit_labels": 0.0}))

    assert world.share() == WHOLE


def test_a_failed_newest_job_leaves_the_decision_before_it() -> None:
    world = World()
    world.control.now_state = TrainingState(jobs=4)

    assert world.share() == LEAST


def test_images_drawn_since_the_measurement_count() -> None:
    world = World(half=0.055)  # 121 labels are needed, and 100 are there
    assert world.share() == WHOLE

    world.drawn(1, audit=9, jobs=1)
    assert world.share() == WHOLE, "the measurement has the labels of a round from before its job"

    world.drawn(2, audit=7, jobs=2)
    world.drawn(3, audit=8, jobs=3)
    assert world.share() == 121 - 100 - 15

    row = world.pool.table["3-0.png"]
    world.pool.table["3-0.png"] = replace(row, state="scored")
    assert world.share() == 121 - 100 - 14, "an image without its task is not counted"


def test_a_wider_interval_in_service_raises_the_share() -> None:
    world = World(half=0.04)
    assert world.share() == LEAST

    world.observed(half=0.09, labels=100, version=VERSION - 1)
    assert world.share() == LEAST, "that was another model"

    world.observed(half=0.09, labels=100)
    assert world.share() == WHOLE


def test_confirmed_drift_makes_the_share_whole() -> None:
    world = World(half=0.04)
    world.observed(half=0.04, labels=100, level=Level.SUSPECTED)
    assert world.share() == LEAST

    world.observed(half=0.04, labels=100, level=Level.CONFIRMED)
    assert world.share() == WHOLE
    assert "drift" in world.plan(WHOLE, VERSION).reason


def test_an_added_class_without_labels_makes_the_share_whole() -> None:
    world = World(half=0.04)
    labels = {"cat": 50}
    history = ClassHistory(("cat", "dog")).add(["owl"], 1.0)
    world.plan = replace(world.plan, history=lambda: history, class_labels=lambda: labels)
    assert world.share() == WHOLE
    assert "owl" in world.plan(WHOLE, VERSION).reason

    labels["owl"] = 20
    assert world.share() == LEAST


def test_two_runs_over_the_same_data_agree() -> None:
    world = World(half=0.052)
    world.drawn(1, audit=4, jobs=2)

    assert world.plan(WHOLE, VERSION) == world.plan(WHOLE, VERSION)
    assert LEAST < world.share() < WHOLE


def test_the_interval_is_that_of_the_metric_of_the_labels() -> None:
    world = World()
    world.plan = replace(world.plan, metric="ap50")
    assert world.share() == WHOLE, "the measures are of accuracy"

    measures = {"ap50_low": 0.85, "ap50_high": 0.95, "audit_labels": 100.0}
    world.history.record(ModelDecision(numbered(2), 2, True, (), 2.0, measures))
    assert world.share() == LEAST
