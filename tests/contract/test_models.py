from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.drift import Finding, Level, reference
from octospoon.domain.estimation import Estimate
from octospoon.domain.keys import day
from octospoon.domain.verdicts import ModelDecision, Observation

if TYPE_CHECKING:
    from contract.conftest import Stores

DECISION = ModelDecision("train-000001", 1, False, ("it is worse", "é"), 100.0, {"accuracy": 0.5})


def test_a_decision_is_kept_and_the_later_one_stands(stores: Stores) -> None:
    assert stores.history.decision("train-000001") is None
    stores.history.record(DECISION)
    assert stores.history.decision("train-000001") == DECISION
    again = replace(DECISION, promoted=True, decided_at=200.0)
    stores.history.record(again)
    stores.history.record(DECISION)
    assert stores.history.decision("train-000001") == again
    assert stores.history.decision("train-000002") is None


def test_where_the_alias_was_last_seen_is_kept(stores: Stores) -> None:
    assert stores.history.alias() == -1
    for version in (3, 3, 2):
        stores.history.keep_alias(version)
        assert stores.history.alias() == version


def test_the_newest_observation_is_kept_whole(stores: Stores) -> None:
    assert stores.observations.read() == Observation()
    finding = Finding(Level.SUSPECTED, 500, 0.001, 0.5, 1.0, 0.2)
    seen = Observation(2, 100.0, Estimate(0.9, 0.85, 0.94, 50), "2026-01-31", finding)
    stores.observations.save(seen)
    stores.observations.save(Observation(1, 50.0))
    assert stores.observations.read() == seen


def test_the_first_reference_of_a_model_stands_bit_for_bit(stores: Stores) -> None:
    rng = np.random.default_rng(0)
    first = reference(rng.standard_normal((60, 8)), rng.dirichlet(np.ones(3), 60))
    assert stores.references.get("a" * 64) is None
    stores.references.put("a" * 64, first)
    stores.references.put("a" * 64, reference(np.eye(8), np.eye(3)[np.arange(8) % 3]))
    found = stores.references.get("a" * 64)
    assert found is not None
    for name in ("centre", "axes", "components", "probabilities"):
        assert np.array_equal(getattr(found, name), getattr(first, name))
        assert getattr(found, name).dtype == np.float32


def test_a_request_waits_for_the_next_job_whatever_begins_it(stores: Stores) -> None:
    control = stores.control
    assert control.state().requested == ""
    control.request("drift")
    control.request("accuracy")
    control.request("accuracy")
    before = control.state()
    assert before.requested == "accuracy"
    assert control.begin(before, "train-000001", "2 labels", 1e9)
    assert control.state().requested == ""


def test_the_jobs_of_a_day_are_counted(stores: Stores) -> None:
    control = stores.control
    for number, begun in ((1, 1), (2, 2), (3, 1)):
        if number == 3:
            stores.clock.time += 24 * 3600
        state = control.state()
        assert control.begin(state, f"train-{number:06d}", "r", 0.0)
        control.start(f"train-{number:06d}", 1e12)
        control.finish(f"train-{number:06d}", "done")
        state = control.state()
        assert (state.begun_today, state.begun_at) == (begun, stores.clock.now())
        assert state.begun_day == day(stores.clock.now())
