from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from contract.conftest import copy_table
from octospoon.adapters.dynamodb.control.model_history import DynamoObservations
from octospoon.adapters.dynamodb.control.table import ControlTable
from octospoon.domain.batch import drift_share
from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation.estimators import Estimate
from octospoon.domain.evaluation.training_record import TrainingRecord, image_numbers
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.drift import DriftResult, Level, reference
from octospoon.domain.monitoring.events import Published
from octospoon.domain.monitoring.observations import (
    HISTORY,
    DriftExample,
    ModelDecision,
    Observation,
    ObservedDay,
)
from octospoon.domain.pool.keys import KEY_BYTES, day

if TYPE_CHECKING:
    from contract.conftest import Stores
    from octospoon.cli.local.assemble import LocalStack

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
    finding = DriftResult(Level.SUSPECTED, 500, 0.001, 0.5, 1.0, 0.2)
    observation = Observation(2, 100.0, Estimate(0.9, 0.85, 0.94, 50), "2026-01-31", finding)
    stores.observations.save(observation)
    stores.observations.save(Observation(1, 50.0))
    assert stores.observations.read() == observation


def test_the_largest_observation_is_kept_whole(stores: Stores) -> None:
    accuracy = Estimate(2 / 3, 1 / 3, 0.98765432109876543, 10**6)
    finding = DriftResult(Level.CONFIRMED, 500, 1 / 3, 1e-300, 2 / 3, 1 / 201)
    longest = "\x01" * (KEY_BYTES - 2)  # JSON writes each of these characters as six
    observation = Observation(
        10**6,
        1e9 / 3,
        accuracy,
        "2026-01-31",
        finding,
        tuple(DriftExample(f"{longest}{i:02d}", "e" * 32, 1 / (i + 3)) for i in range(drift_share.MOST)),
        tuple(ObservedDay(f"2026-{i:04d}", 10**6, accuracy, finding) for i in range(HISTORY)),
    )
    stores.observations.save(observation)
    assert stores.observations.read() == observation


@pytest.mark.stack
def test_an_observation_without_what_drifted_and_its_history_is_read(stack: LocalStack) -> None:
    client = stack.deployment.client("dynamodb")
    table = copy_table(client, stack.project.outputs["ControlTable"])
    body = (
        '{"version":2,"observed_at":100.0,"accuracy":{"value":0.9,"low":0.85,"high":0.94,"labels":50},'
        '"judged_until":"2026-01-31","finding":{"level":"confirmed","images":500,"components_p":0.001,'
        '"probabilities_p":0.5,"classes_p":1.0,"discrepancy_p":0.2}}'
    )
    client.put_item(
        TableName=table,
        Item={"id": {"S": "watch"}, "observed_at": {"N": "100"}, "body": {"S": body}},
    )
    observations = DynamoObservations(ControlTable(client, table))
    observation = observations.read()
    finding = DriftResult(Level.CONFIRMED, 500, 0.001, 0.5, 1.0, 0.2)
    assert observation == Observation(2, 100.0, Estimate(0.9, 0.85, 0.94, 50), "2026-01-31", finding)
    newer = replace(observation, observed_at=200.0, drifted=(DriftExample("a", "e", 0.5),))
    observations.save(newer)
    assert observations.read() == newer


def test_progress_of_events_is_kept_and_one_writer_wins(stores: Stores) -> None:
    assert stores.event_progress.read() == Published()
    progress = Published(9.5, 3, 4, 5, "7/2026-01-31", 8.25, ("ďábel/1",))
    assert stores.event_progress.save(progress)
    assert not stores.event_progress.save(progress), "somebody else was first"
    stored = stores.event_progress.read()
    assert stored == replace(progress, revision=1)
    assert stores.event_progress.save(replace(stored, round=4))
    assert stores.event_progress.read() == replace(progress, round=4, revision=2)


def test_the_first_reference_of_a_model_stands_bit_for_bit(stores: Stores) -> None:
    rng = np.random.default_rng(0)
    first = reference(rng.standard_normal((60, 8)), rng.dirichlet(np.ones(3), 60))
    assert stores.references.get("a" * 64) is None
    stores.references.put("a" * 64, first)
    stores.references.put("a" * 64, reference(np.eye(8), np.eye(3)[np.arange(8) % 3]))
    stored = stores.references.get("a" * 64)
    assert stored is not None
    for name in ("centre", "axes", "components", "statistics"):
        assert np.array_equal(getattr(stored, name), getattr(first, name))
        assert getattr(stored, name).dtype == np.float32


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
    for number, jobs in ((1, 1), (2, 2), (3, 1)):
        if number == 3:
            stores.clock.time += 24 * 3600
        state = control.state()
        assert control.begin(state, f"train-{number:06d}", "r", 0.0)
        control.start(f"train-{number:06d}", 1e12)
        control.finish(f"train-{number:06d}", "done")
        state = control.state()
        assert (state.begun_today, state.begun_at) == (jobs, stores.clock.now())
        assert state.begun_day == day(stores.clock.now())


def training_record(seed: int = 0) -> TrainingRecord:
    rng = np.random.default_rng(seed)
    layers = {
        fold: (rng.standard_normal((8, 3)).astype(np.float32), np.zeros(3, np.float32)) for fold in range(5)
    }
    images = image_numbers((f"{i}.png", "e") for i in range(20))
    return TrainingRecord.of(images, np.arange(20) % 6 - 1, layers, (8, 3), images[:2])


def served(record: str = "", version: int = 7) -> ChampionPointer:
    return ChampionPointer.of(version, "b" * 64, "c" * 64, "d" * 64, ("a", "b", "c"), record)


def test_a_training_record_is_kept_whole_under_one_name(stores: Stores) -> None:
    name = stores.training_records.put(training_record())
    assert stores.training_records.put(training_record()) == name
    assert stores.training_records.put(training_record(1)) != name
    stored = stores.training_records.get(served(name))
    assert stored is not None
    for field in fields(TrainingRecord):
        given, kept = (np.asarray(getattr(each, field.name)) for each in (training_record(), stored))
        assert given.dtype == kept.dtype
        assert np.array_equal(given, kept)


def test_a_version_without_a_record_saw_no_audit_label(stores: Stores) -> None:
    assert stores.training_records.get(served()) is None
    stores.champions.keep(served())
    assert stores.training_records.get(served()) is None


def test_the_versions_own_pointer_counts_if_champions_has_none(stores: Stores) -> None:
    name = stores.training_records.put(training_record())
    stores.champions.keep(served(name))
    assert stores.training_records.get(served()) is not None
    assert stores.training_records.get(served(version=8)) is None
    other = replace(served(), sha256="f" * 64)
    assert stores.training_records.get(other) is None, "another model has this number now"


def test_a_missing_record_names_what_to_restore(stores: Stores) -> None:
    with pytest.raises(BadModel, match="training record of version 7 is missing"):
        stores.training_records.get(served("e" * 64))
