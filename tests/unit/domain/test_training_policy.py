from __future__ import annotations

from dataclasses import replace

import pytest

from octospoon.domain.evaluation.estimators import proportion
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.pool.keys import day
from octospoon.domain.training.backbone_change import BackboneChange, Candidate, Stage, next_candidate
from octospoon.domain.training.jobs import STOPPED, JobStatus, TrainingState
from octospoon.domain.training.policy import TrainingRules, due, job_id, pause, reason_to_train

NOW = 1_000_000.0
RULES = TrainingRules(50, cool_down=3600.0, per_day=3)


@pytest.mark.parametrize(
    ("status", "new_labels", "lease_until", "reason"),
    [
        (JobStatus.IDLE, 49, 0, None),
        (JobStatus.IDLE, 50, 0, "50 new labels"),
        (JobStatus.LAUNCHING, 500, NOW + 1, None),
        (JobStatus.RUNNING, 500, NOW, None),
        (JobStatus.RUNNING, 0, NOW - 1, "lost"),
        (JobStatus.LAUNCHING, 0, NOW - 1, "lost"),
        (JobStatus.FAILED, 0, NOW + 1, None),
        (JobStatus.FAILED, 0, NOW - 1, "failed: no disk"),
        (JobStatus.FAILED, 50, NOW + 1, "50 new labels"),
    ],
)
def test_when_training_is_due(status, new_labels, lease_until, reason):
    state = TrainingState(status, "train-000003", 3, new_labels, lease_until, "no disk")
    due_reason = due(state, RULES, NOW)
    assert (due_reason is None) if reason is None else (due_reason is not None and reason in due_reason)


@pytest.mark.parametrize(
    ("begun_at", "new_labels", "begins"),
    [(NOW - 3600, 1, True), (NOW - 3599, 1, False), (NOW - 7200, 0, False), (0.0, 1, True)],
)
def test_request_waits_for_its_cool_down_and_a_new_label(begun_at, new_labels, begins):
    state = TrainingState(begun_at=begun_at, new_labels=new_labels, requested="drift confirmed")
    assert due(state, RULES, NOW) == ("drift confirmed" if begins else None)


@pytest.mark.parametrize("state", [{"new_labels": 99}, {"new_labels": 1, "requested": "drift"}])
def test_a_day_has_a_budget_and_the_next_day_another(state):
    spent = TrainingState(begun_day=day(NOW), begun_today=3, **state)
    assert due(spent, RULES, NOW) is None
    assert due(replace(spent, begun_today=2), RULES, NOW)
    assert due(spent, RULES, NOW + 24 * 3600)


def test_failed_job_costs_its_budget_but_a_lost_job_restarts():
    spent = TrainingState(JobStatus.FAILED, lease_until=NOW - 1, begun_day=day(NOW), begun_today=3)
    assert due(spent, RULES, NOW) is None
    assert due(replace(spent, status=JobStatus.RUNNING), RULES, NOW)


def change(**fields: object) -> BackboneChange:
    candidate = Candidate("lite0", "a" * 64, "b" * 64)
    before = ChampionPointer.of(3, "c" * 64, "d" * 64, "e" * 64, ("cat", "dog"))
    return replace(BackboneChange(candidate, before), **fields)


@pytest.mark.parametrize(
    ("status", "lease_until", "starts"),
    [
        (JobStatus.IDLE, 0, True),
        (JobStatus.RUNNING, NOW + 1, False),
        (JobStatus.FAILED, NOW + 1, False),
        (JobStatus.FAILED, NOW - 1, True),
    ],
)
def test_requested_backbone_waits_only_for_the_job_before_it(status, lease_until, starts):
    state = TrainingState(status, "train-000003", 3, 0, lease_until, backbone_change=change())
    assert (due(state, RULES, NOW) is not None) == starts
    spent = replace(state, status=JobStatus.IDLE, begun_day=day(NOW), begun_today=3)
    assert due(spent, RULES, NOW) == "change of the backbone to lite0", "a person asked for it"


@pytest.mark.parametrize(
    "ended",
    [change(stage=stage) for stage in Stage if stage is not Stage.REQUESTED]
    + [change(before=ChampionPointer.of(0, "c" * 64, "d" * 64)), None],
)
def test_no_job_is_due_for_a_change_that_ended(ended):
    assert due(TrainingState(backbone_change=ended), RULES, NOW) is None
    assert next_candidate(ended) is None


def test_change_ends_by_what_serves_even_if_the_job_died():
    open_change = change()
    assert open_change.ended("c" * 64, promoted=True, reason="better").stage is Stage.SERVING
    assert open_change.ended("b" * 64, promoted=False, reason="lost").stage is Stage.SERVING
    assert open_change.ended("c" * 64, promoted=False, reason="worse").stage is Stage.REFUSED


def test_accuracy_requests_training_only_when_it_is_significantly_low():
    assert reason_to_train(proportion(70, 100), None, 0.75) is None, "it may be 0.78"
    assert "at most 0.69" in reason_to_train(proportion(60, 100), None, 0.75)  # type: ignore[operator]
    assert reason_to_train(proportion(0, 100), None, 0.0) is None
    assert reason_to_train(proportion(0, 0), None, 1.0) is None, "nothing is known"
    low = reason_to_train(proportion(60, 100), None, 0.75, "AP50")
    assert low == "AP50 0.600 (at most 0.691 by 100 audit labels) is below 0.75"


def test_only_confirmed_drift_asks_for_training():
    good = proportion(99, 100)
    for level in Level:
        reason = reason_to_train(good, DriftResult(level, 500, 1e-9, 1.0, 1.0), 0.5)
        assert (reason == "drift confirmed on 500 uploads") == (level is Level.CONFIRMED)


def test_every_job_has_an_id_of_its_own():
    assert job_id(TrainingState()) == "train-000001"
    assert job_id(TrainingState(jobs=41)) == "train-000042"


def test_pause_doubles_with_each_lost_job_up_to_six_hours():
    assert [pause(lost) / 60 for lost in range(8)] == [0, 15, 30, 60, 120, 240, 360, 360]
    assert pause(10**9) == pause(8)


@pytest.mark.parametrize("status", [JobStatus.LAUNCHING, JobStatus.RUNNING, JobStatus.FAILED])
def test_after_several_lost_jobs_the_next_waits(status):
    state = TrainingState(status, lost=3, begun_at=NOW - 3599, lease_until=NOW - 1, new_labels=500)
    assert due(state, RULES, NOW) is None
    assert due(state, RULES, NOW, at_once=True), "a person asks for it"
    assert due(state, RULES, NOW + 1)
    assert due(replace(state, lost=0), RULES, NOW), "one lost job is normal: machines end"
    assert due(replace(state, status=JobStatus.IDLE), RULES, NOW), "the newest job came to its end"


@pytest.mark.parametrize("at_once", [False, True])
def test_jobs_lost_again_and_again_keep_the_days_limit(at_once):
    spent = TrainingState(JobStatus.LAUNCHING, lost=1, begun_day=day(NOW), begun_today=3)
    assert due(spent, RULES, NOW, at_once=at_once) is None
    assert due(replace(spent, lost=0), RULES, NOW, at_once=at_once)
    assert due(spent, RULES, NOW + 24 * 3600, at_once=at_once)


@pytest.mark.parametrize(
    ("state", "next_lost", "in_a_row"),
    [
        (TrainingState(lost=5), 0, 0),
        (TrainingState(JobStatus.LAUNCHING, lost=5), 6, 5),
        (TrainingState(JobStatus.RUNNING, lost=0), 1, 0),
        (TrainingState(JobStatus.FAILED, lost=1, reason="no disk"), 2, 2),
        (TrainingState(JobStatus.FAILED, lost=1, reason=STOPPED), 1, 1),
    ],
)
def test_jobs_that_did_not_end_well_are_counted(state, next_lost, in_a_row):
    assert (state.lost_before_next(), state.lost_in_a_row()) == (next_lost, in_a_row)
